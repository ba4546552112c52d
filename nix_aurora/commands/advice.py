"""Apply the known advisories to a build: pass, warn or refuse."""

import argparse
from collections.abc import Collection, Iterable, Mapping

from nix_aurora import log
from nix_aurora.closure.stage import Staged
from nix_aurora.commands.command import Options
from nix_aurora.errors import UsageError, VerificationError, quoted
from nix_aurora.release import advisories
from nix_aurora.release.advisories import Advisory
from nix_aurora.release.exposure import Subject, affects, may_affect, release_without
from nix_aurora.release.pins import Pins
from nix_aurora.store.paths import plain_name

_DETERMINATE = "determinate-nix-"


def add_accept(parser: argparse.ArgumentParser) -> None:
    """Add ``--accept``, which allows a build that an advisory affects."""
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="GHSA-ID",
        help="build although this advisory applies, and record that in the package; repeatable",
    )


def pinned_subject(pinned: Pins) -> Subject:
    """Return the pinned release as a subject of advisories."""
    return Subject(pinned.version, pinned.nix)


def refuse_pinned(options: Options, accept: Collection[str], pinned: Pins) -> None:
    """Raise VerificationError if an advisory affects the pinned release, before its download.

    Also raises UsageError if an id in ``accept`` is not known, and PinError.
    """
    known = advisories.load(options.advisories)
    _check_known(accept, known)
    subject = pinned_subject(pinned)
    others = [each for each in known.values() if each.id not in accept]
    _refuse([each for each in others if affects(each, subject)], subject)


def accepted_advisories(
    options: Options, accept: Iterable[str], staged: Iterable[Staged], pinned: Pins
) -> list[str]:
    """Return the ids in ``accept`` of the advisories that affect, or may affect, a closure.

    Warns about other advisories that may affect it. Raises VerificationError if another advisory
    affects it, UsageError if an id is not known, and PinError.
    """
    known = advisories.load(options.advisories)
    accept = list(accept)
    _check_known(accept, known)
    found = set()
    for subject in dict.fromkeys(_subject(each, pinned) for each in staged):
        concerning = concerned(known, subject)
        found |= {each.id for each in concerning} & set(accept)
        others = [each for each in concerning if each.id not in found]
        _refuse([each for each in others if affects(each, subject)], subject)
        warn(others, subject)
    for name in sorted(set(accept) - found):
        log.info(f"--accept {name}: it does not apply: nothing to accept")
    return sorted(found)


def warn(concerning: Iterable[Advisory], subject: Subject) -> None:
    """Print a one-line warning about the advisories that may affect ``subject``."""
    names = ", ".join(each.id for each in concerning)
    if names:
        log.warn(
            f"these advisories may apply to {subject}: {names}; advisories.toml has their pages, "
            "and says how to review them; --accept ID takes one as it is"
        )


def concerned(known: Mapping[str, Advisory], subject: Subject) -> list[Advisory]:
    """Return the advisories that affect ``subject``, or may affect it because no review decides."""
    return [each for each in known.values() if affects(each, subject) or may_affect(each, subject)]


def _subject(staged: Staged, pinned: Pins) -> Subject:
    """Return the subject for a closure; only its name shows what it is."""
    closure = staged.closure
    if not plain_name(closure.nix).startswith(_DETERMINATE):
        return Subject(None, closure.version)
    is_pinned = closure.version == pinned.version
    return Subject(closure.version, pinned.nix if is_pinned else None)


def _check_known(accept: Iterable[str], known: Mapping[str, Advisory]) -> None:
    for name in accept:
        if name not in known:
            raise UsageError(
                f"--accept: expected an advisory in advisories.toml, got {quoted(name)}",
                hint="build.py pins update",
            )


def _refuse(affecting: list[Advisory], subject: Subject) -> None:
    if not affecting:
        return
    accept = " ".join(f"--accept {each.id}" for each in affecting)
    release = release_without(affecting, subject)
    update = f"build.py pins update --version {release}; " if release else ""
    raise VerificationError(
        f"cannot build the packages: {subject}: a security advisory applies",
        details=[
            f"{each.id}: {each.title}; fixed in {_fixed(each)}: {each.url}" for each in affecting
        ],
        hint=f"{update}to build it anyway: {accept}",
    )


def _fixed(advisory: Advisory) -> str:
    versions = advisory.review.fixed if advisory.review else ()
    return f"Determinate Nix {', '.join(versions)}" if versions else "no release that is known"
