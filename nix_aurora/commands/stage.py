"""``build.py stage``: a proven closure in the layout of a host."""

import argparse

from nix_aurora.commands.closures import host_arch, staged_closures
from nix_aurora.commands.command import Command, Options


def _run(options: Options, _words: argparse.Namespace) -> list[str]:
    return [str(staged.root) for staged in staged_closures(options, (host_arch(),))]


COMMAND = Command(
    "stage",
    "unpack and verify a closure, in the form that a host gets",
    example="build.py stage --source nix-3.22.1-x86_64-linux.tar.xz",
    run=_run,
)
