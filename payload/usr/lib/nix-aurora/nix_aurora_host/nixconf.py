"""Nix's settings files: their lines, the line that Nix rejects, and unsafe lines.

Places come only from the text of files that the caller names, never from a message: Nix's messages
repeat text that the writer of a file chose.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

_NAMED = re.compile(r"\b(?:setting|option) '([a-z0-9-]+)'")
_VALUE = re.compile(r"has invalid value '(.*)'$")
_ALIASES = {"build-use-sandbox": "sandbox", "build-use-chroot": "sandbox"}
_INCLUDES = ("include", "!include")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a settings file that doctor knows; line 0 is the whole file."""

    path: str
    line: int


def _trusts_many(value: str) -> bool:
    return any(word == "*" or word.startswith("@") for word in value.split())


UNSAFE: Mapping[str, Callable[[str], bool]] = {
    "build-users-group": lambda value: not value,
    "require-sigs": lambda value: value == "false",
    "sandbox": lambda value: value == "false",
    "sandbox-fallback": lambda value: value == "true",
    "trusted-users": _trusts_many,
}
"""What makes the value of a setting unsafe: builds or users that could do what root can."""

USERS = ("trusted-users", "allowed-users")
"""The settings that are lists of users."""


def is_unsafe(name: str, value: str) -> bool:
    """Return whether a setting lets builds or users act as root."""
    return name in UNSAFE and UNSAFE[name](value)


def parse_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of each line that is neither empty nor a comment."""
    for number, line in enumerate(text.split("\n"), start=1):
        said = line.partition("#")[0].strip(" \t\r")
        if said:
            yield number, re.split(r"[ \t\r]+", said)


def find_error(
    message: str, files: Mapping[str, str], exists: Callable[[str], bool]
) -> Place | None:
    """Return the place in ``files``, {path: text}, that Nix's ``message`` is about.

    ``exists`` returns whether a file exists. Return None if no line explains the message.
    """
    lines = [(Place(path, n), words) for path in files for n, words in parse_lines(files[path])]
    if "syntax error" in message:
        return next((place for place, words in lines if _is_malformed(words)), None)
    includes = [(place, words) for place, words in lines if words[0] in _INCLUDES]
    if " included from " in message:
        return next(
            (place for place, words in includes if not _is_there(place, words, exists)), None
        )
    if found := _NAMED.search(message):
        wrong = _VALUE.search(message)
        setting = [(place, words) for place, words in lines if _name(words) == found[1]]
        exact = [place for place, words in setting if wrong and " ".join(words[2:]) == wrong[1]]
        if exact or setting:
            return (exact or [place for place, _ in setting])[-1]
    # The error is in a file that one of these lines includes.
    return next((place for place, words in includes if _included(place, words) not in files), None)


def find_unsafe(files: Mapping[str, str]) -> dict[str, Place]:
    """Return the last place in ``files`` where each unsafe setting gets an unsafe value."""
    return {
        _name(words): Place(path, number)
        for path, text in files.items()
        for number, words in parse_lines(text)
        if words[1:2] == ["="] and is_unsafe(_name(words), " ".join(words[2:]))
    }


def _name(words: list[str]) -> str:
    name = words[0].removeprefix("extra-") if words[1:2] == ["="] else ""
    return _ALIASES.get(name, name)


def _is_malformed(words: list[str]) -> bool:
    if words[0] in _INCLUDES:
        return len(words) != 2
    return len(words) < 2 or words[1] != "="


def _included(place: Place, words: list[str]) -> str:
    return str(PurePath(place.path).parent / words[1]) if len(words) == 2 else ""


def _is_there(place: Place, words: list[str], exists: Callable[[str], bool]) -> bool:
    return words[0] != "include" or exists(_included(place, words))
