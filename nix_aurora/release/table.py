"""A table of a TOML file of ours; every key must be known and have the right type."""

import datetime
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from nix_aurora.errors import PinError
from nix_aurora.text import printable

_T = TypeVar("_T")
_TYPES = {
    bool: "true or false",
    int: "an integer",
    str: "a string",
    list: "a list",
    datetime.date: "a date (YYYY-MM-DD)",
}


def read(path: Path, own: str) -> "Table":
    """Read a whole file as a table; PinError says what is wrong with the file.

    ``own`` is the name of the project's file of this kind, for the hints.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PinError(
            f"{path.name}: expected a readable file, got: {error.strerror}",
            hint=f"git restore {own}",
        ) from error
    except ValueError as error:  # invalid TOML, or invalid UTF-8
        raise PinError(f"{path.name}: expected TOML, got: {error}", hint=_hint(own)) from error
    return Table(path.name, "", content, _hint(own))


def _hint(own: str) -> str:
    return f"the comments in {own} say what belongs there"


class Table:
    """A table whose keys must all be read."""

    def __init__(self, file: str, name: str, content: object, hint: str) -> None:
        self._file = file
        self._name = name
        self._hint = hint
        if not isinstance(content, dict):
            raise PinError(
                f"{file}: {name}: expected a table, got {printable(repr(content))}", hint=hint
            )
        self._left: dict[str, object] = dict(content)
        self._taken: list[str] = []

    def fault(self, key: str, problem: str, hint: str | None = None) -> PinError:
        """Return the error for a key of this table."""
        where = f"{self._name}.{key}" if self._name else key
        return PinError(f"{self._file}: {where}: {problem}", hint=hint or self._hint)

    def take(self, key: str, kind: type[_T], check: Callable[[_T], object] | None = None) -> _T:
        """Return a key's value, which must have exactly the type ``kind`` and pass ``check``."""
        self._taken.append(key)
        if key not in self._left:
            raise self.fault(key, f"expected {_TYPES[kind]}, got no such key")
        value = self._left.pop(key)
        # isinstance is not enough: a bool is an int, and a datetime is a date.
        if type(value) is not kind:
            raise self.fault(key, f"expected {_TYPES[kind]}, got {printable(repr(value))}")
        try:
            if check:
                check(value)
        except ValueError as error:
            raise self.fault(key, str(error)) from error
        return value

    def optional(
        self, key: str, kind: type[_T], check: Callable[[_T], object] | None = None
    ) -> _T | None:
        """Return the value of a key that may be missing; otherwise as ``take``."""
        if key in self._left:
            return self.take(key, kind, check)
        self._taken.append(key)
        return None

    def table(self, key: str) -> Self:
        """Return the table under a key."""
        self._taken.append(key)
        if key not in self._left:
            raise self.fault(key, "expected a table, got no such key")
        name = f"{self._name}.{key}" if self._name else key
        return type(self)(self._file, name, self._left.pop(key), self._hint)

    def optional_table(self, key: str) -> Self | None:
        """Return the table under a key that may be missing."""
        if key in self._left:
            return self.table(key)
        self._taken.append(key)
        return None

    def take_strings(self, key: str, check: Callable[[str], object] | None = None) -> list[str]:
        """Return a key's value, a list of strings that all pass ``check``."""

        def check_all(values: list[object]) -> None:
            for value in values:
                if not isinstance(value, str):
                    raise ValueError(f"expected strings, got {printable(repr(value))}")  # noqa: TRY004
                if check:
                    check(value)

        return [str(value) for value in self.take(key, list, check_all)]

    def names(self) -> list[str]:
        """Return the keys that were not read yet."""
        return list(self._left)

    def end(self) -> None:
        """Refuse the keys that were not read."""
        for key in self._left:
            known = ", ".join(self._taken) or "none"
            raise self.fault(key, "expected a known key, got this one", f"known keys: {known}")
