"""A table of pins.toml, of which every key has to be known and of the right type."""

import datetime
from collections.abc import Callable
from typing import Self, TypeVar

from nix_aurora.errors import PinError
from nix_aurora.text import printable

HINT = "the comments in pins.toml say what belongs there"

_T = TypeVar("_T")
_TYPES = {str: "a string", int: "an integer", datetime.date: "a date (YYYY-MM-DD)"}


class Table:
    """A table of which every key has to be taken."""

    def __init__(self, file: str, name: str, content: object) -> None:
        self._file = file
        self._name = name
        if not isinstance(content, dict):
            raise PinError(
                f"{file}: {name}: expected a table, got {printable(repr(content))}", hint=HINT
            )
        self._left: dict[str, object] = dict(content)
        self._taken: list[str] = []

    def _fault(self, key: str, problem: str, hint: str = HINT) -> PinError:
        where = f"{self._name}.{key}" if self._name else key
        return PinError(f"{self._file}: {where}: {problem}", hint=hint)

    def take(self, key: str, kind: type[_T], check: Callable[[_T], object] | None = None) -> _T:
        """Return a key's value, which has to be of just that type and to pass ``check``."""
        self._taken.append(key)
        if key not in self._left:
            raise self._fault(key, f"expected {_TYPES[kind]}, got no such key")
        value = self._left.pop(key)
        # Not isinstance: a bool is an int, and a datetime a date.
        if type(value) is not kind:
            raise self._fault(key, f"expected {_TYPES[kind]}, got {printable(repr(value))}")
        try:
            if check:
                check(value)
        except ValueError as error:
            raise self._fault(key, str(error)) from error
        return value

    def table(self, key: str) -> Self:
        """Return the table under a key."""
        self._taken.append(key)
        if key not in self._left:
            raise self._fault(key, "expected a table, got no such key")
        name = f"{self._name}.{key}" if self._name else key
        return type(self)(self._file, name, self._left.pop(key))

    def optional_table(self, key: str) -> Self | None:
        """Return the table under a key that may be missing."""
        if key in self._left:
            return self.table(key)
        self._taken.append(key)
        return None

    def end(self) -> None:
        """Refuse the keys that nobody took."""
        for key in self._left:
            known = ", ".join(self._taken) or "none"
            raise self._fault(key, "expected a known key, got this one", f"known keys: {known}")
