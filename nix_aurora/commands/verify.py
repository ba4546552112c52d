"""``build.py verify``: check built packages against the policy."""

import argparse
from pathlib import Path

from nix_aurora.commands.command import Command, Options
from nix_aurora.package.verify import verify


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("packages", nargs="+", type=Path, metavar="RPM")


def _run(_options: Options, words: argparse.Namespace) -> list[str]:
    for path in words.packages:
        verify(path)
    return [str(path) for path in words.packages]


COMMAND = Command(
    "verify",
    "check that built packages are complete and can be installed",
    example="build.py verify out/nix-aurora-3.22.1-1.x86_64.rpm",
    run=_run,
    add_arguments=_add_arguments,
    hint="make rpm",
)
