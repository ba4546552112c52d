"""``build.py srpm``: the source package."""

import argparse

from nix_aurora.commands.advice import add_accept
from nix_aurora.commands.command import Command, Options
from nix_aurora.commands.packages import add_extras, build_srpm
from nix_aurora.release import pins


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_extras(parser)
    add_accept(parser)


def _run(options: Options, words: argparse.Namespace) -> list[str]:
    srpm, _ = build_srpm(options, pins.ARCHES, extras=words.extras, accept=words.accept)
    return [str(srpm)]


COMMAND = Command(
    "srpm",
    "build the source package for every pinned architecture",
    example="build.py srpm --offline",
    run=_run,
    add_arguments=_add_arguments,
)
