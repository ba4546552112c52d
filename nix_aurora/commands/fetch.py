"""``build.py fetch``: the pinned installer in the cache."""

import argparse

from nix_aurora.commands.closures import host_arch
from nix_aurora.commands.command import Command, Options
from nix_aurora.release import pins
from nix_aurora.release.cache import fetch


def _run(options: Options, _words: argparse.Namespace) -> list[str]:
    release = pins.load(options.pins)
    return [
        str(fetch(release.installer[arch], options.cache, offline=options.offline))
        for arch in options.arches or (host_arch(),)
    ]


COMMAND = Command(
    "fetch",
    "download the pinned installer into the cache, and verify it",
    example="build.py fetch --arch aarch64",
    run=_run,
)
