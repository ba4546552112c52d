"""Finish or undo a killed takeover: in the next run, or in the import of a boot."""

import os
from contextlib import ExitStack, suppress

from nix_aurora_host import paths
from nix_aurora_host.adopt import checks, journal, leftovers, switch
from nix_aurora_host.adopt.journal import FORMER, Journal, Way, place
from nix_aurora_host.database import files
from nix_aurora_host.database.daemon import end_processes
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import syscalls
from nix_aurora_host.importer.say import say
from nix_aurora_host.importer.stage import remove
from nix_aurora_host.system import run

_SELINUX = "/sys/fs/selinux/enforce"
_DAY = 86400.0  # seconds, for labels of millions of files
_RELABEL = ("/usr/bin/nix-aurora", "relabel", "--yes")


def finish_pending() -> Journal | None:
    """Finish a takeover that was killed while the stores changed places; return its journal.

    One that was killed earlier has changed nothing in this host's store, and is left alone. The
    caller holds the import's lock.
    """
    found = journal.read()
    if found is None or found.ours is None or not switch.is_begun(found, found.ours):
        return None
    say(f"finishing the takeover of {found.source}")
    with ExitStack() as locks:
        end_processes()
        checks.hold_database(locks, paths.STATE)
        complete(found)
    return found


def complete(found: Journal) -> None:
    """Make the stores change places, from any state of a killed run; every Nix is locked out."""
    if found.ours is None:
        raise ValueError("expected the directories to exchange, got none")
    switch.switch(found, found.ours)
    syscalls.sync(paths.HOME)
    label()
    switch.keep_former()
    files.remove(paths.DATABASE_LOST)  # the marker was about the former database
    leftovers.put_receipt_aside(found.source)
    journal.remove()
    remove_work()


def undo(found: Journal | None) -> None:
    """Undo a takeover that has changed nothing in this host's store yet."""
    if found is not None and found.ours is not None and switch.is_begun(found, found.ours):
        raise CommandError(
            f"cannot undo the takeover of {found.source}: the stores are already exchanged, so it "
            "can only be finished",
            "sudo nix-aurora adopt",
        )
    if found is not None and found.way is Way.MOVE and found.theirs is not None:
        switch.give_back(found, found.theirs)
        with suppress(FileNotFoundError):
            os.rmdir(place(FORMER))  # its content would belong to the other store
    remove(place(FORMER))
    if found is not None:
        journal.remove()
    remove_work()


def remove_work() -> None:
    """Remove leftovers of an inspection of the stores, or of a copy, from the work directory."""
    for name in ("look", "part", "one", "other", "probe"):
        remove(place(name))
    switch.remove_closed()
    with suppress(FileNotFoundError):
        os.rmdir(paths.ADOPTION)


def label() -> None:
    """Set the store's SELinux labels, before anything is started from it."""
    if not os.path.exists(_SELINUX):
        return
    done = run(_RELABEL, timeout=_DAY)
    if done.code:
        say(f"cannot label the store: nix-aurora relabel: exit code {done.code}")
        say("hint: sudo nix-aurora relabel")
