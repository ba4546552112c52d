"""Parse versions of Nix, and the ranges of them that advisories name.

A range is text that a person typed. GitHub recommends a syntax and does not check it:
https://docs.github.com/code-security, "Best practices for writing repository security advisories".
So text without a certain meaning never counts as "not affected".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nix_aurora.errors import quoted

Numbers = tuple[int, ...]

_NUMBERS = r"[0-9]{1,9}(?:\.[0-9]{1,9})*"
_PRE_RELEASE = r"[._-]?(?:~|pre|rc|beta|alpha).*"
_PATCHED = r"[+_-].*"  # nixpkgs and Debian append their patch numbers in this form
_VERSION = re.compile(rf"({_NUMBERS})(?:({_PRE_RELEASE})|{_PATCHED})?")
_BOUND = re.compile(rf"(>=|<=|>|<|=)?\s*({_NUMBERS})")
_LOWER, _UPPER = frozenset({">=", ">"}), frozenset({"<=", "<"})
_LINE = 2  # the count of numbers that identify a line of maintenance releases, as in 2.34


@dataclass(frozen=True, slots=True)
class Version:
    """A version; its numbers have no trailing zeros, since 2.30 equals 2.30.0."""

    numbers: Numbers
    is_release: bool


@dataclass(frozen=True, slots=True)
class Range:
    """The versions between two bounds; None means that there is no bound."""

    lower: Numbers | None
    upper: Numbers | None
    includes_lower: bool
    includes_upper: bool

    def __contains__(self, version: Version) -> bool:
        return self._is_above(version) and self._is_below(version)

    def _is_above(self, version: Version) -> bool:
        # A pre-release contains the code of its release.
        if self.lower is None or version.numbers > self.lower:
            return True
        return self.includes_lower and version.numbers == self.lower

    def _is_below(self, version: Version) -> bool:
        if self.upper is None or version.numbers < self.upper:
            return True
        return version.numbers == self.upper and (self.includes_upper or not version.is_release)


def parse_version(text: str) -> Version:
    """Parse a version such as 2.35.2 or 2.35.0pre20251120; raise ValueError for other text."""
    match = _VERSION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"expected a version such as 2.35.2, got {quoted(text)}")
    return Version(_numbers(match[1]), match[2] is None)


def _numbers(text: str) -> Numbers:
    found = [int(number) for number in text.split(".")]
    while found and not found[-1]:
        del found[-1]
    return tuple(found)


def parse_range(text: str) -> list[Range]:
    """Parse a range into the ranges whose union it is; raise ValueError for other text.

    A lower and an upper bound belong together: ``>= 2.21, < 2.28.6``. Lower bounds alone each start
    a range, as NixOS/nix writes them: ``>=2.18.2,>=2.19.4,>=2.21``. Versions alone mean exactly
    these versions. Anything else is ambiguous.
    """
    bounds = [_bound(part, text) for part in text.split(",")]
    operators = [operator for operator, _ in bounds]
    if all(operator == "=" for operator in operators):
        return [Range(numbers, numbers, True, True) for _, numbers in bounds]
    if _LOWER.issuperset(operators):
        return [Range(numbers, None, operator == ">=", True) for operator, numbers in bounds]
    by_side = sorted(bounds, key=lambda bound: bound[0] in _UPPER)
    sides = [operator in _UPPER for operator, _ in by_side]
    if "=" in operators or sides not in ([True], [False, True]):
        raise ValueError(f"expected a lower and an upper bound at most, got {quoted(text)}")
    last, upper = by_side[-1]
    first, lower = by_side[0] if len(by_side) > 1 else (">=", None)
    if lower is not None and (lower > upper or (lower == upper and (first, last) != (">=", "<="))):
        raise ValueError(f"expected bounds with a version between them, got {quoted(text)}")
    return [Range(lower, upper, first == ">=", last == "<=")]


def _bound(text: str, whole: str) -> tuple[str, Numbers]:
    """Return a bound's operator, "=" for a version alone, and its numbers."""
    match = _BOUND.fullmatch(text.strip())
    if not match:
        raise ValueError(f"expected bounds such as >= 2.21, < 2.28.6, got {quoted(whole)}")
    operator, version = match[1], match[2]
    if version.count(".") < _LINE and operator in {None, "=", "<="}:
        # 2.34 may mean 2.34.0, or all of that line.
        raise ValueError(f"expected a version such as 2.34.0, got {quoted(version)}")
    return operator or "=", _numbers(version)


def may_be_affected(version: str | None, ranges: Iterable[str], fixed: Iterable[str]) -> bool:
    """Return whether a version is, or could be, in one of the ranges.

    It could be if ``version`` is None, if a range cannot be parsed, or if there is no range.
    ``fixed`` are the first fixed versions, one for each line; they end the ranges without an end.
    """
    texts = list(ranges)
    if version is None or not texts:
        return True
    try:
        wanted = parse_version(version)
        within = [each for text in texts for each in parse_range(text) if wanted in each]
    except ValueError:
        return True
    if any(each.upper is not None for each in within):
        return True
    return bool(within) and not _is_fixed(wanted, fixed)


def _is_fixed(version: Version, fixed: Iterable[str]) -> bool:
    """Return whether ``version`` has the fix of its line, or of the newest if its line has none."""
    try:
        known = [parse_version(text.strip().removeprefix(">=")).numbers for text in fixed]
    except ValueError:
        return False
    of_line = [each for each in known if _line(each) == _line(version.numbers)]
    if not known:
        return False
    least = max(of_line or known)
    return version.numbers > least or (version.numbers == least and version.is_release)


def _line(numbers: Numbers) -> Numbers:
    return (*numbers, 0, 0)[:_LINE]
