"""nix-aurora move: the store, to a file system of its own, and back."""

import argparse
import os
import sqlite3

from nix_aurora_host import paths
from nix_aurora_host.commands.command import Command, add_dry_run, add_yes
from nix_aurora_host.dialog import confirm, require_root, require_terminal, say
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer.locks import import_lock
from nix_aurora_host.move.places import BEFORE
from nix_aurora_host.move.plan import Plan, make_plan
from nix_aurora_host.move.run import execute, finish, is_unfinished, undo
from nix_aurora_host.text import command, human, printable


def move(directory: str, *, yes: bool, dry_run: bool, check: bool) -> int:
    """Move the store to the file system that is mounted on a directory; return the exit code."""
    if is_unfinished():
        return _finish(yes=yes, dry_run=dry_run)
    with import_lock():
        plan = make_plan(directory)
    _describe(plan, check=check)
    if dry_run:
        return 0
    if not (yes or confirm("move it")):
        say("move: nothing was changed")
        return 1
    with import_lock():  # the answer may have taken an hour
        plan = make_plan(directory)
    count = execute(plan, check=check)
    say(f"move: done: {plan.line.source} is mounted on {paths.BASE}, with {count} files")
    _tell_former()
    return 0


def _finish(*, yes: bool, dry_run: bool) -> int:
    say(f"A move was interrupted. The copy is complete, and mounted on {paths.BASE}. To finish,")
    say(f"the former store below this mount is renamed to {BEFORE}.")
    if dry_run:
        return 0
    if not (yes or confirm("finish it")):
        say("move: nothing was changed")
        return 1
    finish()
    say("move: done")
    _tell_former()
    return 0


def _tell_former() -> None:
    say(f"The former store is kept in {BEFORE}. To return to it:")
    say("  sudo nix-aurora move --undo")
    say("To delete it when you no longer need it:")
    say(f"  {command(['sudo', 'rm', '-r', '--one-file-system', BEFORE])}")


def _describe(plan: Plan, *, check: bool) -> None:
    say(f"{paths.BASE}: {human(plan.size)} are copied to {plan.directory}, which has")
    say(f"{human(plan.free)} of free space. Then the line of /etc/fstab for {plan.directory} is")
    say(f"changed, so that it mounts the copy on {paths.BASE}.")
    if plan.again:
        say("An earlier move was interrupted. Its incomplete copy is removed first.")
    if check:
        say("Every store path in the copy is compared with its recorded hash.")
    say("Nix's daemon and its builds are stopped during the move.")


def _go_back(*, yes: bool, dry_run: bool) -> int:
    say(f"The store in {BEFORE} becomes {paths.BASE} again. Packages that were installed")
    say("after the move stay in the other store, and are missing from this one.")
    if dry_run:
        return 0
    if not (yes or confirm("return to it")):
        say("move: nothing was changed")
        return 1
    undo()
    say(f"move: undone: {paths.BASE} is the store from before the move")
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("directory", metavar="DIR", nargs="?", help="where it is mounted now")
    what.add_argument(
        "--undo", action="store_true", help="return to the store from before the last move"
    )
    parser.add_argument(
        "--no-check", action="store_true", help="do not compare store paths with recorded hashes"
    )
    add_yes(parser)
    add_dry_run(parser)


def _run(arguments: argparse.Namespace) -> int:
    words = ["--undo"] if arguments.undo else [arguments.directory]
    require_root("move the store", command(["move", *words]))
    if not (arguments.yes or arguments.dry_run):
        require_terminal("move the store", command(["move", *words]))
    os.umask(0o022)
    try:
        if arguments.undo:
            return _go_back(yes=arguments.yes, dry_run=arguments.dry_run)
        return move(
            arguments.directory,
            yes=arguments.yes,
            dry_run=arguments.dry_run,
            check=not arguments.no_check,
        )
    except (OSError, sqlite3.Error) as error:
        raise CommandError(
            f"cannot move the store: {printable(str(error))}", "sudo nix-aurora doctor"
        ) from error


COMMAND = Command(
    "move the store to a file system of its own, after asking",
    "Move the store to another disk or subvolume: copy all of /var/lib/nix to the empty file "
    "system that a line of /etc/fstab mounts on DIR, compare the copy, and have that line mount it "
    "on /var/lib/nix. The former store is kept in /var/lib/nix.before-move.",
    _run,
    _add_arguments,
    (("sudo nix-aurora move --undo", "return to the store from before the last move"),),
)
