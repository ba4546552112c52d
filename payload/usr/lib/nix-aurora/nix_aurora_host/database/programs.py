"""What the programs in /usr/libexec/nix-aurora do: exit codes and messages."""

import fcntl
import sqlite3
import sys
from collections.abc import Sequence

from nix_aurora_host import paths
from nix_aurora_host.database import files, schema, sqlite
from nix_aurora_host.database.copies import find_flaw, read_copies
from nix_aurora_host.database.newer import is_replacement_due
from nix_aurora_host.errors import CommandError
from nix_aurora_host.text import printable

BROKEN = 3  # the exit code that alone says so
_PATIENCE = 30.0  # seconds, for Nix's processes to end


def backup_database() -> int:
    """Copy the database, for nix-database-backup.service."""
    from nix_aurora_host.database.backup import backup  # noqa: PLC0415 - the other needs none of it

    try:
        print(f"nix-aurora: {backup()}")
    except CommandError as error:
        return _fail(error.message, error.hint)
    except (OSError, sqlite3.Error) as error:
        return _fail(f"cannot copy the database: {paths.COPIES}: {printable(str(error))}", None)
    return 0


def restore_database(arguments: Sequence[str]) -> int:
    """Restore the database, look whether there is a need, or prepare that: for the import."""
    from nix_aurora_host.database.daemon import end_processes  # noqa: PLC0415 - as above
    from nix_aurora_host.database.restore import restore  # noqa: PLC0415 - as above

    try:
        if arguments == ["--check"]:
            return check()
        if arguments == ["--end-daemon"]:
            if ended := end_processes():
                print(f"nix-aurora: ended processes of {paths.DAEMON}: {ended}")
            return 0
        if arguments[:1] == ["--mend"]:
            return mend(arguments[1:])
        (fresh,) = arguments
        restore(fresh)
    except (OSError, sqlite3.Error) as error:
        return _fail(
            f"cannot restore the database: {paths.COPIES}: {printable(str(error))}",
            f"sudo systemctl restart {paths.SETUP}",
        )
    return 0


def check() -> int:
    """Return BROKEN where SQLite itself says that the database is no whole one, else 0.

    Also where root has asked for a copy in place of a newer Nix's.
    Whatever else goes wrong is no reason to set a database aside: it raises an error.
    """
    if is_replacement_due():
        print(f"nix-aurora: {paths.DATABASE} is replaced by a copy that the packaged Nix reads")
        return BROKEN
    damage = sqlite.check_live(paths.DATABASE)
    if damage is not None:
        # One that Nix is just making looks damaged, too; alone with it, one knows.
        with files.lock(paths.DATABASE_LOCK, fcntl.LOCK_EX, patience=_PATIENCE):
            damage = sqlite.check_live(paths.DATABASE)
    if damage is None:
        return 0
    print(f"nix-aurora: {paths.DATABASE} is damaged: {printable(damage)}", file=sys.stderr)
    return BROKEN


def mend(nix_store: Sequence[str]) -> int:
    """Correct what Nix cannot read beside the database; return BROKEN where that is not known."""
    copies = [copy.directory for copy in read_copies() if find_flaw(copy, {}) is None]
    if schema.mend(nix_store, copies):
        return 0
    print(f"nix-aurora: {schema.find_fault()}", file=sys.stderr)
    return BROKEN


def _fail(message: str, hint: str | None) -> int:
    print(f"nix-aurora: {message}", file=sys.stderr)
    if hint is not None:
        print(f"hint: {hint}", file=sys.stderr)
    return 1
