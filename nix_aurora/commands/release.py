"""``build.py release``: the files that a release of the packages consists of."""

import argparse

from nix_aurora.closure.description import File
from nix_aurora.commands.advice import add_accept
from nix_aurora.commands.command import Command, Options
from nix_aurora.commands.packages import build_rpms, build_srpm, description_directory
from nix_aurora.publish.assets import make_assets
from nix_aurora.release import pins


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tag", metavar="vVERSION-RELEASE", help="the expected tag; refuse to build any other"
    )
    add_accept(parser)


def _run(options: Options, words: argparse.Namespace) -> list[str]:
    srpm, arches = build_srpm(options, pins.ARCHES, accept=words.accept)
    packages = [srpm, *build_rpms(srpm, arches, options.out)]
    sboms = {arch: description_directory(options, arch) / File.SBOM for arch in arches}
    files = make_assets(packages, sboms, words.tag, options.out / "release")
    return [str(path) for path in files]


COMMAND = Command(
    "release",
    "build the files of a release: packages, SBOMs, checksums",
    example="build.py release --tag v3.22.1-1",
    run=_run,
    add_arguments=_add_arguments,
)
