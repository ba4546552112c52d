"""The program /usr/libexec/nix-aurora/collect: remove old generations, then collect garbage."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterable, Sequence

from nix_aurora_host import paths, settings
from nix_aurora_host.adopt.journal import pending
from nix_aurora_host.collection import generations, hidden
from nix_aurora_host.collection.hidden import Hidden
from nix_aurora_host.dialog import say
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer.closure import read_closure
from nix_aurora_host.system import PATH
from nix_aurora_host.text import command, printable

_SHOWN = 20  # roots that a refusal names
_AUTO = "gcroots/auto/"  # belongs to root; Nix records the roots of all users there


def main() -> int:
    """Collect, for nix-gc.service and `nix-aurora gc run`; return the exit code."""
    try:
        return collect(dry_run="--dry-run" in sys.argv[1:])
    except CommandError as error:
        say(f"nix-aurora: {error.message}")
        if error.hint:
            say(f"hint: {error.hint}")
        return error.code


def collect(*, dry_run: bool) -> int:
    """Remove old generations, and all store paths that no root keeps; return the exit code.

    Raise CommandError, before any change, if a collection could remove paths that users need.
    """
    days = _read_days()
    refuse_unfinished()
    roots = list(hidden.find_indirect())
    refuse_hidden(hidden.find_hidden())
    users = generations.find_users(target for _, target in roots)
    well = {user: _remove_generations(user, days, dry_run=dry_run) for user in users}
    if not dry_run:
        _collect_garbage()
    # Users can make the removal of their own generations fail, but must not make the unit fail.
    return 0 if well[0] else 1


def _read_days() -> int:
    """Return how many days generations stay; raise CommandError if the setting is invalid."""
    file = settings.gather_settings_file()
    if file.faults:
        raise CommandError(
            f"cannot collect garbage: {settings.describe_fault(file.faults[0])}; nothing was "
            "changed",
            "sudo nix-aurora doctor",
        )
    return file.days


def refuse_unfinished() -> None:
    """Raise CommandError while the database does not know all paths in the store."""
    if os.path.lexists(paths.DATABASE_LOST):
        raise CommandError(
            "cannot collect garbage: the database was lost, and a collection would delete the "
            "store paths that are not registered again yet; nothing was changed",
            "sudo nix-aurora recover",
        )
    if (store := pending()) is not None:
        raise CommandError(
            f"cannot collect garbage: the takeover of {printable(store)} is not complete; nothing "
            "was changed",
            "sudo nix-aurora adopt",
        )


def refuse_hidden(found: Sequence[Hidden]) -> None:
    """Raise CommandError if the collector would remove roots that may still be needed."""
    if not found:
        return
    for root in found[:_SHOWN]:
        say(f"  {root.target}: {root.reason}")
    if len(found) > _SHOWN:
        say(f"  and {len(found) - _SHOWN} more")
    say("Mount the missing file systems. If one is lost, remove the roots that lead to it.")
    # Root removes no file in a directory of a user, who can put a link in its place.
    own = [root.link for root in found[:_SHOWN] if root.link.startswith(f"{paths.STATE}/{_AUTO}")]
    raise CommandError(
        "cannot collect garbage: it would remove roots whose targets are missing or not mounted "
        f"({len(found)} found); nothing was changed",
        command(
            ["sudo", "rm", *own] if own else ["ls", "-l", *(root.link for root in found[:_SHOWN])]
        ),
    )


def _remove_generations(user: int, days: int, *, dry_run: bool) -> bool:
    """Remove the old generations of a user; return whether that succeeded."""
    person = generations.find_person(user)
    if person is None:
        say(f"generations of user {user}: kept: this host has no such user")
        return True
    outcome = generations.remove(person, days, dry_run=dry_run)
    done = "would be removed" if dry_run else "removed"
    number = generations.count(outcome)
    say(f"generations of {person.name}: {number} older than {days} days {done}")
    if outcome.code:
        lines = _last(outcome.stderr.splitlines())
        say(f"generations of {person.name}: not all could be removed: {printable(lines)}")
    return outcome.code == 0


def _last(lines: Iterable[str]) -> str:
    return next((line for line in reversed(list(lines)) if line.strip()), "no reason given")


def _collect_garbage() -> None:
    """Run the packaged collector, with the priority of this process instead of the daemon's."""
    closure = read_closure()
    words = [*paths.nix_command(closure.path(closure.nix), "nix-collect-garbage"), "--quiet"]
    environment = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": pwd.getpwuid(0).pw_dir}
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            env={**environment, "NIX_REMOTE": "local"},
            cwd="/",
            check=False,
        )
    except OSError as error:
        raise CommandError(
            f"cannot collect garbage: {words[0]}: {error.strerror}", "sudo nix-aurora doctor"
        ) from error
    if done.returncode and not _has_inodes():
        raise CommandError(
            f"cannot collect garbage: {paths.BASE} has no free inodes, and a collection needs a "
            "few: delete other files there first",
            "sudo du -x --inodes --max-depth=3 /var | sort -n | tail",
        )
    if done.returncode:
        raise CommandError(
            f"cannot collect garbage: {command(words)}: exit code {done.returncode}",
            "sudo nix-aurora doctor",
        )


def _has_inodes() -> bool:
    """Return whether the store's file system can still create files, as far as it counts them."""
    space = os.statvfs(paths.BASE)
    return space.f_files == 0 or space.f_ffree > 0
