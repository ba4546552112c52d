"""What the scripts on the host print: lines of a name, a space and a value.

A name may come several times. Values are text from the host: escape them before printing.
"""

import json
from dataclasses import dataclass
from typing import Any

from nix_aurora.text import printable

LONGEST = 300
"""How many characters a detail quotes of one text from the host."""


def ending(text: str) -> str:
    """Return the end of a text from the host, which is where programs say what went wrong."""
    text = text.strip()
    return printable(text if len(text) <= LONGEST else f"…{text[-LONGEST:]}", None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a script on the host left: its exit code and its output."""

    code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """Return the last thing that it said, for a message, with its exit code."""
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
        """Return the exit code and the text that the step ``name`` left; None: it was not run."""
        code, _, text = self.get(name).partition(" ")
        return (int(code), text) if code.isdecimal() else (None, "")


def parse_object(answer: Answer) -> dict[str, Any] | None:
    """Return the JSON object that a command printed; None where it printed no such thing."""
    try:
        value = json.loads(answer.stdout)
    except (ValueError, RecursionError):  # deep nesting is no answer either
        return None
    return value if isinstance(value, dict) else None


def part(value: object, *names: str) -> Any:  # noqa: ANN401 - JSON from outside has any shape
    """Return what lies below ``names`` in nested objects; None where there is no such thing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def entries(value: object) -> list[Any]:
    """Return the entries of a list of JSON; none where it is no list."""
    return value if isinstance(value, list) else []


def members(value: object) -> dict[str, Any]:
    """Return the members of an object of JSON; none where it is no object."""
    return value if isinstance(value, dict) else {}
