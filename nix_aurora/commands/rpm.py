"""``build.py rpm``: the source package, and the packages that are built from it."""

import argparse

from nix_aurora.commands.advice import add_accept
from nix_aurora.commands.closures import host_arch
from nix_aurora.commands.command import Command, Options
from nix_aurora.commands.packages import add_extras, build_rpms, build_srpm


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_extras(parser)
    add_accept(parser)


def _run(options: Options, words: argparse.Namespace) -> list[str]:
    srpm, arches = build_srpm(options, (host_arch(),), extras=words.extras, accept=words.accept)
    return [str(path) for path in (srpm, *build_rpms(srpm, arches, options.out))]


COMMAND = Command(
    "rpm",
    "build the source package, and the packages from it",
    example="build.py rpm --arch x86_64 --out /tmp/packages",
    run=_run,
    add_arguments=_add_arguments,
)
