"""A database that is gone or broken: a new one takes its place, or one that comes from a copy."""

import fcntl
import os
from contextlib import ExitStack

from nix_aurora_host import paths
from nix_aurora_host.database import files
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import missing, nix
from nix_aurora_host.importer.closure import Closure
from nix_aurora_host.importer.place import set_aside
from nix_aurora_host.importer.stage import remove, stage
from nix_aurora_host.importer.workers import Task

_PATIENCE = 30.0  # seconds, for a nix command of root's
_OF_NO_CONCERN = {"big-lock", "reserved"}  # what Nix leaves where there never was a database


def read(closure: Closure) -> missing.Registered | None:
    """Return what the database says of the closure; None where it is lost.

    Raise CommandError where it cannot be read for another reason than damage.
    """
    if not os.path.exists(paths.DATABASE):
        return None
    import sqlite3  # noqa: PLC0415 - a first import has no database

    from nix_aurora_host.database.programs import is_damaged, mend  # noqa: PLC0415 - as above

    try:
        if os.path.exists(paths.IMPORT_NEEDED) and is_damaged():
            return None
        if not mend(lambda: _make_fresh(closure)):
            return None
        return missing.read_registered(closure.paths)
    except (OSError, sqlite3.Error) as error:
        # Many things keep us from it. That the database is broken is for SQLite itself to say.
        if isinstance(error, sqlite3.Error) and is_damaged():
            return None
        raise CommandError(
            f"cannot read the database: {paths.DATABASE}: {error}", "sudo nix-aurora doctor"
        ) from error


def _make_fresh(closure: Closure) -> str:
    """Have the packaged Nix, staged for that, make a database; return its directory."""
    stage(closure, set(closure.paths))
    state = f"{paths.WORK}/fresh"
    Task(lambda: nix.load_staged(closure, state)).wait()
    return f"{state}/db"


def lock_lost(locks: ExitStack) -> None:
    """Keep everybody from a lost database until ``locks`` are closed.

    Nix's own processes wait for its lock before they open a database, or make one. Those that have
    the former one open end: builds must not change the store while its content is checked.
    """
    if not os.path.islink(f"{paths.ROOTS}/nix") and not os.path.lexists(paths.DATABASE_DIRECTORY):
        return  # a first import: nobody uses Nix
    from nix_aurora_host.database.daemon import end_processes  # noqa: PLC0415 - seldom needed
    from nix_aurora_host.importer.say import say  # noqa: PLC0415

    if ended := end_processes():
        say(f"ended processes of {paths.DAEMON}: {ended}")
    os.makedirs(paths.DATABASE_DIRECTORY, exist_ok=True)
    lock = files.lock(paths.DATABASE_LOCK, fcntl.LOCK_EX, patience=_PATIENCE)
    if not locks.enter_context(lock):
        raise CommandError(
            f"cannot lock {paths.DATABASE_LOCK}: a nix command of root uses it",
            "sudo systemctl restart nix-setup.service",
        )


def make(closure: Closure) -> None:
    """Make a new database aside, with the whole closure, which is staged; in a thread of its own.

    It gets its name when it is on the disk, for Nix syncs the file that says that there are tables,
    but not the tables: a power cut in between would leave a database that it cannot read. A copy
    of the database that was lost takes its place.
    """
    state = f"{paths.WORK}/state"
    nix.load_staged(closure, state)
    if os.listdir(paths.STORE):
        from nix_aurora_host.database.restore import restore  # noqa: PLC0415 - seldom needed

        restore(f"{state}/db")


def take_place() -> None:
    """Rename the new database to its final name.

    What is broken is moved aside, also the files of a database whose main file is gone: Nix reads
    the schema file beside it first, and opens nothing.
    """
    place = paths.DATABASE_DIRECTORY
    if os.path.lexists(place):
        if os.path.isdir(place) and set(os.listdir(place)) <= _OF_NO_CONCERN:
            remove(place)
        else:
            set_aside(place)
    os.rename(f"{paths.WORK}/state/db", place)
