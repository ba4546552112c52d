"""``build.py srpm``: the source package."""

import argparse

from nix_aurora.commands.command import Command, Options
from nix_aurora.commands.packages import add_extras, build_srpm
from nix_aurora.release import pins


def _run(options: Options, words: argparse.Namespace) -> list[str]:
    srpm, _ = build_srpm(options, pins.ARCHES, extras=words.extras)
    return [str(srpm)]


COMMAND = Command(
    "srpm",
    "build the source package, with every architecture at hand",
    example="build.py srpm --offline",
    run=_run,
    add_arguments=add_extras,
)
