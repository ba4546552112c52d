"""Copy the other Nix's database; only the copy is read.

A write-ahead log beside the database is part of it, and is merged into the copy. On a read-only
file system, SQLite could not read that log.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from nix_aurora_host.database import files, sqlite
from nix_aurora_host.database.schema import SCHEMAS
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import clone
from nix_aurora_host.text import printable

_DATABASE = ("db.sqlite", "db.sqlite-wal")


def take(directory: str, target: str) -> str:
    """Copy the database in ``directory`` into a new directory ``target``; return the copy's path.

    Raise CommandError if it is damaged.
    """
    files.remove(target)
    os.makedirs(target, mode=0o700)
    frozen = bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    with files.owner_only():
        try:
            for name in SCHEMAS if not frozen else (*_DATABASE, *SCHEMAS):
                if os.path.lexists(f"{directory}/{name}"):
                    _copy(f"{directory}/{name}", f"{target}/{name}")
            if not frozen:
                _copy_live(f"{directory}/{_DATABASE[0]}", f"{target}/{_DATABASE[0]}")
            damage = _merge(f"{target}/{_DATABASE[0]}")
        except sqlite3.Error as error:
            damage = str(error)
    if damage is not None:
        raise CommandError(
            f"cannot adopt a store: {printable(directory)}/{_DATABASE[0]}: {printable(damage)}; "
            "nothing was changed",
            "nix-aurora adopt --help",
        )
    return f"{target}/{_DATABASE[0]}"


def _copy_live(source: str, target: str) -> None:
    """Copy the database in one transaction, since a Nix may be writing."""
    os.close(files.private(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    with sqlite.connect(source) as live, sqlite.connect(target, "rw") as copy:
        live.backup(copy)


def _copy(source: str, target: str) -> None:
    if not stat.S_ISREG(os.lstat(source).st_mode):
        raise CommandError(
            f"cannot adopt a store: {printable(source)}: expected a regular file",
            "sudo nix-aurora doctor",
        )
    clone.clone_file(source, target)
    os.chmod(target, 0o600)


def _merge(path: str) -> str | None:
    """Merge the log into the database's file; return what is wrong with the database."""
    with sqlite.connect(path, "rw") as connection:
        connection.execute("pragma trusted_schema = off")
        connection.execute("pragma journal_mode = delete")
        damage = sqlite.find_damage(connection)
        if damage is None and connection.execute("pragma foreign_key_check").fetchone():
            return "a row refers to nothing"
        return damage


@contextmanager
def opened(path: str) -> Iterator[sqlite3.Connection]:
    """Open a copy, which nobody changes."""
    with sqlite.connect(path, "immutable") as connection:
        connection.execute("pragma trusted_schema = off")
        yield connection
