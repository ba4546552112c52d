"""Decide which advisories concern a Nix that is to be packaged.

Determinate Systems backport fixes into releases whose upstream version lacks them, and also the
reverse. So upstream's ranges decide nothing about a release of theirs: they only select the
advisories that a person has to review. The result is in the advisory's review.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nix_aurora.release.advisories import UPSTREAM, Advisory
from nix_aurora.release.versions import Numbers, may_be_affected, parse_version


@dataclass(frozen=True, slots=True)
class Subject:
    """The Nix that is to be packaged.

    ``determinate`` is the version of Determinate's release, None if it is another kind of Nix;
    ``nix`` is upstream's version, None if it is not known.
    """

    determinate: str | None
    nix: str | None

    def __str__(self) -> str:
        if self.determinate is None:
            return f"Nix {self.nix}"
        based_on = f"based on Nix {self.nix}" if self.nix else "whose upstream version is not known"
        return f"Determinate Nix {self.determinate}, {based_on}"


def affects(advisory: Advisory, subject: Subject) -> bool:
    """Return whether a review says that ``subject`` is affected."""
    if advisory.review is None or subject.determinate is None or not advisory.review.affected:
        return False
    return may_be_affected(subject.determinate, advisory.review.affected, advisory.review.fixed)


def may_affect(advisory: Advisory, subject: Subject) -> bool:
    """Return whether ``subject`` may be affected, because no review decides."""
    if advisory.repository == UPSTREAM:
        if advisory.review and subject.determinate:
            return False
        return may_be_affected(subject.nix, advisory.affected, advisory.fixed)
    if advisory.review or subject.determinate is None:
        return False
    return may_be_affected(subject.determinate, advisory.affected, advisory.fixed)


def release_without(advisories: Iterable[Advisory], subject: Subject) -> str | None:
    """Return the first release that has the fixes of all ``advisories``; None if not known.

    All of ``advisories`` affect ``subject``.
    """
    try:
        present = parse_version(subject.determinate or "").numbers
    except ValueError:
        return None
    needed = []
    for advisory in advisories:
        fixed = advisory.review.fixed if advisory.review else ()
        later = [version for version in fixed if _numbers(version) > present]
        if not later:
            return None
        needed.append(min(later, key=_numbers))
    return max(needed, key=_numbers, default=None)


def _numbers(version: str) -> Numbers:
    return parse_version(version).numbers
