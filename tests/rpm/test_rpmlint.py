"""Test that rpmlint finds in the spec, SRPM and RPMs only what rpmlint.toml explains."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.lint.shell import tool
from tests.rpm.builder import TOP, Built

_CONFIG = TOP / "rpmlint.toml"
# (none) marks a line about rpmlint's own setup.
_FINDING = re.compile(r"^(?!\(none\)).*: [EW]: .*$", re.MULTILINE)


def _rpmlint(*words: str | Path) -> list[str]:
    done = subprocess.run([tool("rpmlint"), *words], capture_output=True, text=True, check=False)
    assert " packages and " in done.stdout, done.stderr
    return _FINDING.findall(done.stdout)


@pytest.fixture(scope="module")
def linted(built: Built) -> list[Path]:
    (spec,) = (built.out / "rpmbuild" / "SPECS").glob("*.spec")
    return [spec, *built.paths]


def test_rpmlint_finds_nothing_else(linted: list[Path]) -> None:
    for path in linted:
        assert _rpmlint("--config", _CONFIG, path) == [], path


def test_every_filter_hides_something(linted: list[Path]) -> None:
    found = [line for path in linted for line in _rpmlint(path)]
    for pattern in tomllib.loads(_CONFIG.read_text())["Filters"]:
        assert any(re.search(pattern, line) for line in found), pattern


def test_every_filter_has_its_reason() -> None:
    """The reason is in the comment above the filter, or above its group of filters."""
    lines = _CONFIG.read_text().partition("Filters = [\n")[2].splitlines()
    assert lines[0].lstrip().startswith("# ")
