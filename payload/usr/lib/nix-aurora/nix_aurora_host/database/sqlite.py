"""Open SQLite databases in Nix's schema, and check them for damage."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 30.0  # seconds, for a transaction of Nix's
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# Every schema known to this package has these: nix `src/libstore/schema.sql`.
_TABLES = {
    "ValidPaths": {"id", "path", "hash", "registrationTime", "deriver", "narSize"},
    "Refs": {"referrer", "reference"},
}


@contextmanager
def connect(path: str, mode: str = "ro") -> Iterator[sqlite3.Connection]:
    """Open the existing database ``path``, and close it at the end.

    ``mode`` is ``ro`` or ``rw``, or ``immutable`` for a file that nobody can change meanwhile. The
    caller's statements begin and end transactions.
    """
    options = "mode=ro&immutable=1" if mode == "immutable" else f"mode={mode}"
    connection = sqlite3.connect(
        f"{Path(path).as_uri()}?{options}", uri=True, timeout=_PATIENCE, isolation_level=None
    )
    try:
        # Text may be any bytes: one damaged row must not make all others fail.
        connection.text_factory = lambda data: data.decode(errors="surrogateescape")
        yield connection
    finally:
        connection.close()


def is_broken(error: sqlite3.Error) -> bool:
    """Return whether SQLite says that the file is not a database, or a damaged one.

    A lock, a full disk, a lack of memory or of rights do not count.
    """
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _BROKEN


def find_damage(connection: sqlite3.Connection) -> str | None:
    """Return what is wrong with a database of Nix's, or None if it is intact.

    Raise sqlite3.Error if it cannot be checked for a reason other than damage.
    """
    try:
        rows = connection.execute("pragma integrity_check(1)").fetchall()
        if rows != [("ok",)]:
            return str(rows[0][0]) if rows else "integrity_check returned nothing"
        for table, wanted in _TABLES.items():
            if not wanted <= set(columns(connection, table)):
                return f"it has no table {table} as Nix makes it"
    except sqlite3.Error as error:
        if is_broken(error):
            return str(error)
        raise
    return None


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the names of a table's columns; an empty list if there is no such table."""
    return [row[1] for row in connection.execute(f"pragma table_info({table})")]


def count_paths(connection: sqlite3.Connection) -> int:
    """Return how many store paths the database knows."""
    (count,) = connection.execute("select count(*) from ValidPaths").fetchone()
    return int(count)


def check_live(path: str) -> str | None:
    """Return what is wrong with the database that Nix uses, or None if it is intact."""
    try:
        with connect(path) as connection:
            return find_damage(connection)
    except sqlite3.Error as error:
        if is_broken(error):  # damage may show as soon as it is opened
            return str(error)
        raise
