"""``nix-aurora doctor``: report each fault with a command that fixes it."""

import argparse
import json
import os
import sys

from nix_aurora_host.checks.everything import judge
from nix_aurora_host.commands.command import Command, add_json
from nix_aurora_host.gather.everything import gather_all
from nix_aurora_host.report.doctor import describe, is_well, render


def _run(arguments: argparse.Namespace) -> int:
    findings = judge(gather_all())
    text = json.dumps(describe(findings), indent=2) + "\n"
    root = os.geteuid() == 0
    sys.stdout.write(text if arguments.json else render(findings, root=root))
    return 0 if is_well(findings) else 1


COMMAND = Command(
    "find faults, and print a fix for each",
    "Check this host, and print one command for each fault that fixes it. Run the first command, "
    "then run doctor again. Some checks need root. Doctor changes nothing.",
    _run,
    add_json,
    (
        ("sudo nix-aurora doctor", "list all faults, each with a fix"),
        ("nix-aurora doctor --json", "print the same for a program"),
    ),
)
