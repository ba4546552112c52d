"""Exit codes and messages of the programs in /usr/libexec/nix-aurora."""

import fcntl
import sqlite3
import sys
from collections.abc import Callable

from nix_aurora_host import paths
from nix_aurora_host.database import files, schema, sqlite
from nix_aurora_host.database.copies import find_flaw, read_copies
from nix_aurora_host.database.newer import is_replacement_due
from nix_aurora_host.errors import CommandError
from nix_aurora_host.text import printable

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


def is_damaged() -> bool:
    """Return whether SQLite says that the database is damaged, and print why.

    Also return true if root has requested a copy in place of a newer Nix's database. No other
    failure is a reason to set a database aside: it raises an error.
    """
    if is_replacement_due():
        print(f"nix-aurora: {paths.DATABASE} is replaced by a copy that the packaged Nix reads")
        return True
    damage = sqlite.check_live(paths.DATABASE)
    if damage is not None:
        # A database that Nix is just creating looks damaged, too; with the lock, this is certain.
        with files.lock(paths.DATABASE_LOCK, fcntl.LOCK_EX, patience=_PATIENCE):
            damage = sqlite.check_live(paths.DATABASE)
    if damage is None:
        return False
    print(f"nix-aurora: {paths.DATABASE} is damaged: {printable(damage)}", file=sys.stderr)
    return True


def mend(make_fresh: Callable[[], str]) -> bool:
    """Correct the files beside the database that Nix cannot read; return whether it can now.

    ``make_fresh`` lets the packaged Nix create a database, and returns its directory.
    """
    copies = [copy.directory for copy in read_copies() if find_flaw(copy, {}) is None]
    if schema.mend(make_fresh, copies):
        return True
    print(f"nix-aurora: {schema.find_fault()}", file=sys.stderr)
    return False


def _fail(message: str, hint: str | None) -> int:
    print(f"nix-aurora: {message}", file=sys.stderr)
    if hint is not None:
        print(f"hint: {hint}", file=sys.stderr)
    return 1
