"""Replace a missing or broken database by a new one, or by one that is restored from a copy."""

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

_PATIENCE = 30.0  # seconds, for a nix command that root runs
# files that Nix leaves even if there was never a database
_OF_NO_CONCERN = {"big-lock", "reserved"}


def read(closure: Closure) -> missing.Registered | None:
    """Return the database's records of the closure; None if the database is lost.

    Raise CommandError if it cannot be read for a reason other than damage.
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
        # A read can fail for many reasons; only SQLite's own verdict counts as damage.
        if isinstance(error, sqlite3.Error) and is_damaged():
            return None
        raise CommandError(
            f"cannot read the database: {paths.DATABASE}: {error}", "sudo nix-aurora doctor"
        ) from error


def _make_fresh(closure: Closure) -> str:
    """Let the packaged Nix, staged for that, create a database; return its directory."""
    stage(closure, set(closure.paths))
    state = f"{paths.WORK}/fresh"
    Task(lambda: nix.load_staged(closure, state)).wait()
    return f"{state}/db"


def lock_lost(locks: ExitStack) -> None:
    """Lock everybody out of a lost database until ``locks`` are closed.

    Nix's own processes wait for its lock before they open or create a database. Processes that have
    the former one open are ended: builds must not change the store while its content is checked.
    """
    if not os.path.islink(f"{paths.ROOTS}/nix") and not os.path.lexists(paths.DATABASE_DIRECTORY):
        return  # before the first import, nobody uses Nix
    from nix_aurora_host.database.daemon import end_processes  # noqa: PLC0415 - seldom needed
    from nix_aurora_host.importer.say import say  # noqa: PLC0415

    if ended := end_processes():
        say(f"ended processes of {paths.DAEMON}: {ended}")
    os.makedirs(paths.DATABASE_DIRECTORY, exist_ok=True)
    lock = files.lock(paths.DATABASE_LOCK, fcntl.LOCK_EX, patience=_PATIENCE)
    if not locks.enter_context(lock):
        raise CommandError(
            f"cannot lock {paths.DATABASE_LOCK}: a nix command of root uses it; when it has ended, "
            "import again",
            "sudo systemctl restart nix-setup.service",
        )


def make(closure: Closure) -> None:
    """Create a new database aside, with the whole staged closure; this runs in its own thread.

    It gets its name when it is on the disk: Nix syncs the file that says that tables exist, but not
    the tables, so after a power cut in between it could not read the database. If there is a copy
    of the lost database, it replaces the new one.
    """
    state = f"{paths.WORK}/state"
    nix.load_staged(closure, state)
    if os.listdir(paths.STORE):
        from nix_aurora_host.database.restore import restore  # noqa: PLC0415 - seldom needed

        restore(f"{state}/db")


def take_place() -> None:
    """Rename the new database to its final name.

    A broken database is moved aside, and also the files of a database whose main file is missing:
    Nix reads the schema file beside it first, and would open nothing.
    """
    place = paths.DATABASE_DIRECTORY
    if os.path.lexists(place):
        if os.path.isdir(place) and set(os.listdir(place)) <= _OF_NO_CONCERN:
            remove(place)
        else:
            set_aside(place)
    os.rename(f"{paths.WORK}/state/db", place)
