"""Parse the output of the scripts on the host: lines with a name, a space and a value.

A name may occur several times. Values are text from the host: escape them before printing.
"""

import json
from dataclasses import dataclass
from typing import Any

from nix_aurora.text import printable

LONGEST = 300
"""The number of characters that a detail quotes from one text of the host."""


def ending(text: str) -> str:
    """Return the end of a text from the host, where programs usually report their error."""
    text = text.strip()
    return printable(text if len(text) <= LONGEST else f"…{text[-LONGEST:]}", None)


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a script on the host: its exit code and its output."""

    code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """Return the last line of output, with the exit code, for a message."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        said = ending(lines[-1]) if lines else "no output"
        return f"exit code {self.code}: {said}"


class Records:
    """The records in the output of a script."""

    def __init__(self, text: str) -> None:
        self._values: dict[str, list[str]] = {}
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            self._values.setdefault(name, []).append(value)

    def all(self, name: str) -> list[str]:
        """Return the values of ``name``, in their order."""
        return list(self._values.get(name, []))

    def names(self, beginning: str) -> list[str]:
        """Return the names that begin with ``beginning``, in their order."""
        return [name for name in self._values if name.startswith(beginning)]

    def get(self, name: str, default: str = "") -> str:
        """Return the last value of ``name``."""
        return self._values.get(name, [default])[-1]

    def coded(self, name: str) -> tuple[int | None, str]:
        """Return the exit code and the text of the step ``name``; None if the step did not run."""
        code, _, text = self.get(name).partition(" ")
        return (int(code), text) if code.isdecimal() else (None, "")


def parse_object(answer: Answer) -> dict[str, Any] | None:
    """Return the JSON object that a command printed; None if it printed something else."""
    try:
        value = json.loads(answer.stdout)
    except (ValueError, RecursionError):  # RecursionError comes from deeply nested JSON
        return None
    return value if isinstance(value, dict) else None


def part(value: object, *names: str) -> Any:  # noqa: ANN401 - JSON from outside has any shape
    """Return the value at the path ``names`` in nested objects; None if it does not exist."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def entries(value: object) -> list[Any]:
    """Return the entries of a JSON list; an empty list for any other value."""
    return value if isinstance(value, list) else []


def members(value: object) -> dict[str, Any]:
    """Return the members of a JSON object; an empty one for any other value."""
    return value if isinstance(value, dict) else {}
