"""GitHub's workflows, parsed."""

import itertools
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.lint.shell import TOP

WORKFLOWS = sorted((TOP / ".github/workflows").iterdir())
MAKE = re.compile(r"\bmake( [^|;&)\n]*)")
_MATRIX = re.compile(r"\$\{\{ matrix\.(\w+) \}\}")


def load(path: Path) -> Mapping[str, Any]:
    """Return a workflow."""
    content = YAML(typ="safe").load(path)
    assert isinstance(content, dict)
    return content


def make_calls(jobs: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the words after each ``make``, once for each combination that the matrix has."""
    for job in jobs.values():
        matrix = job.get("strategy", {}).get("matrix", {})
        for values in itertools.product(*matrix.values()):
            chosen = dict(zip(matrix, values, strict=True))
            for step in job.get("steps", ()):
                script = _MATRIX.sub(lambda match: chosen[match[1]], step.get("run", ""))  # noqa: B023
                for words in MAKE.findall(script):
                    yield shlex.split(words)
