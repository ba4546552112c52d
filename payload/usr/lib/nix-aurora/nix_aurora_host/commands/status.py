"""``nix-aurora status``: show what is installed, imported and running."""

import argparse
import json
import sys

from nix_aurora_host.commands.command import Command, add_json
from nix_aurora_host.gather.everything import gather_basics
from nix_aurora_host.report.status import describe, render


def _run(arguments: argparse.Namespace) -> int:
    basics = gather_basics()
    text = json.dumps(describe(basics), indent=2) + "\n"
    sys.stdout.write(text if arguments.json else render(basics))
    return 0


COMMAND = Command(
    "show layout, versions, units, users and space",
    "Show the layout, the versions that are packaged, imported and running, the units, the build "
    "users, and the free space. As root, also show the copies of the database.",
    _run,
    add_json,
    (("nix-aurora status", "show what is installed, imported and running"),),
)
