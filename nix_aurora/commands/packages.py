"""Build the packages that a command line asks for, from the pins or its sources to the RPMs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nix_aurora.closure.description import describe
from nix_aurora.commands.advice import accepted_advisories, refuse_pinned
from nix_aurora.commands.closures import staged_closures
from nix_aurora.commands.command import TOP, Options
from nix_aurora.package import rpmbuild
from nix_aurora.package.rpmbuild import Prepared
from nix_aurora.release import pins
from nix_aurora.release.cache import fetch


def add_extras(parser: argparse.ArgumentParser) -> None:
    """Add ``--with``, which names packages that are built only on request."""
    parser.add_argument(
        "--with",
        dest="extras",
        action="append",
        choices=("nixd",),
        default=[],
        help="nixd: also package the proprietary determinate-nixd",
    )


def description_directory(options: Options, arch: str) -> Path:
    """Return the directory with the description of the closure for ``arch``."""
    return options.out / "closure" / arch


def build_srpm(
    options: Options,
    default: Sequence[str],
    *,
    extras: Sequence[str] = (),
    accept: Sequence[str] = (),
) -> tuple[Path, list[str]]:
    """Build the source package; return its path and the architectures that it contains.

    ``default`` are the pinned architectures to use if ``options`` names none; ``accept`` are the
    accepted advisories.
    """
    packaging = pins.load(options.pins)
    if not options.sources:
        refuse_pinned(options, accept, packaging)
    closures = staged_closures(options, default)
    accepted = accepted_advisories(options, accept, closures, packaging)
    prepared = []
    for staged in closures:
        arch = staged.closure.arch
        nixd = None
        if "nixd" in extras:
            nixd = fetch(packaging.nixd[arch], options.cache, offline=options.offline)
        description = description_directory(options, arch)
        describe(staged, description, date=packaging.date, accepted=accepted)
        prepared.append(Prepared(staged, description, nixd))
    srpm = rpmbuild.build_srpm(
        prepared,
        TOP,
        options.out,
        release=packaging.package_release,
        date=packaging.date,
        level=options.level,
        accepted=accepted,
    )
    return srpm, [item.arch for item in prepared]


def build_rpms(srpm: Path, arches: Sequence[str], out: Path) -> list[Path]:
    """Build for each architecture; return the noarch package only once.

    The noarch package records the architecture of its build, so it always comes from the last
    build.
    """
    built = {arch: rpmbuild.build_rpm(srpm, arch, out) for arch in sorted(arches)}
    return list(dict.fromkeys(path for arch in arches for path in built[arch]))
