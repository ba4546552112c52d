"""nix-aurora adopt: take over another Nix's store, with every user's packages."""

import argparse
import json
import os
import sqlite3
import sys
from contextlib import redirect_stdout

from nix_aurora_host import base_mount, paths
from nix_aurora_host.adopt import words
from nix_aurora_host.adopt.journal import pending
from nix_aurora_host.adopt.plan import Plan
from nix_aurora_host.adopt.run import Done, execute, look, resume
from nix_aurora_host.adopt.settings import find_proposal
from nix_aurora_host.commands.command import Command, add_dry_run, add_json, add_yes
from nix_aurora_host.dialog import confirm, require_root, require_terminal, say
from nix_aurora_host.errors import USAGE, CommandError
from nix_aurora_host.text import printable


def adopt(directory: str | None, *, yes: bool, dry_run: bool, check: bool, as_json: bool) -> int:
    """Take over the store in a directory, or the one that is found; return the exit code."""
    require_root("adopt a store", "adopt")
    if paths.RELOCATED:
        raise CommandError(
            "cannot adopt a store: the relocated layout has another store prefix; to have /nix, "
            f"remove STORE_LAYOUT=relocated from {paths.SETTINGS} and reboot",
            "nix-aurora status",
            code=USAGE,
        )
    if not (yes or dry_run):
        require_terminal("adopt a store", "adopt")
    try:
        with redirect_stdout(sys.stderr):  # standard output is for the final JSON alone
            plan, done = _adopt(directory, yes=yes, dry_run=dry_run, check=check)
    except (OSError, sqlite3.Error) as error:
        raise CommandError(
            f"cannot adopt a store: {printable(str(error))}", "sudo nix-aurora doctor"
        ) from error
    proposal = find_proposal()
    for line in words.describe_done(done, proposal) if done is not None else ():
        say(line)
    if as_json:
        print(json.dumps(words.to_json(plan, done, proposal), indent=2))
    if done is None and not dry_run:
        say("adopt: nothing was changed")
        return 1
    return 0


def _adopt(
    directory: str | None, *, yes: bool, dry_run: bool, check: bool
) -> tuple[Plan | None, Done | None]:
    os.umask(0o022)
    base_mount.require_mounted()
    if (unfinished := pending()) is not None and dry_run:
        say(f"The takeover of {unfinished} is not complete. To finish it: sudo nix-aurora adopt")
        return None, None
    if (done := resume()) is not None:
        return None, done
    plan = look(directory)
    for line in words.describe_plan(plan, check=check):
        say(line)
    if dry_run or not (yes or confirm("adopt it")):
        return plan, None
    return plan, execute(plan, check=check)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        metavar="DIR",
        dest="directory",
        help="the directory with store and var/nix, or a disk as fstab has it",
    )
    parser.add_argument(
        "--no-check", action="store_true", help="do not compare store paths with recorded hashes"
    )
    add_yes(parser)
    add_dry_run(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    return adopt(
        arguments.directory,
        yes=arguments.yes,
        dry_run=arguments.dry_run,
        check=not arguments.no_check,
        as_json=arguments.json,
    )


COMMAND = Command(
    "take over the store of another Nix, after asking",
    "Take over the store of another Nix, with the packages of every user. If users have packages "
    "in this host's store, too, only what this store lacks is copied into it. Without --from, "
    "adopt looks for the other store in /nix, /var/home/nix and /var/nix, and in what /etc/fstab "
    "or nix.mount mounts on /nix.",
    _run,
    _add_arguments,
    (("sudo nix-aurora adopt --dry-run", "show what adopt would do"),),
)
