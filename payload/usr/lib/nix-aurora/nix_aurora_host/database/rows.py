"""Read, remove and copy the rows of Nix's database that belong to a store path.

Tables and columns are Nix's own, `src/libstore/schema.sql` and `ca-specific-schema.sql`. A newer
schema, or Determinate's, has more columns and tables: this module uses every column that both sides
have.
"""

import re
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from nix_aurora_host import paths
from nix_aurora_host.database.hashes import parse_sha256
from nix_aurora_host.database.sqlite import columns

STORE_NAME = re.compile(r"[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]{1,211}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """A store path: its ``name``, the SHA-256 and size of its NAR; None if not recorded."""

    id: int
    name: str
    digest: bytes | None
    size: int


def read_rows(
    connection: sqlite3.Connection, wanted: Collection[str] | None = None
) -> dict[int, Row]:
    """Return store paths by their id: all of them, or those of the ``wanted`` paths.

    Rows with an invalid name have no digest either.
    """
    statement = "select id, path, hash, narSize from ValidPaths"
    if wanted is not None:
        statement += f" where path in ({','.join('?' * len(wanted))})"
    rows = connection.execute(statement, tuple(wanted or ()))
    return {number: _row(number, path, text, size) for number, path, text, size in rows}


def _row(number: int, path: object, text: object, size: object) -> Row:
    name = str(path).removeprefix(f"{paths.PREFIX}/")
    try:
        digest = parse_sha256(str(text))
    except ValueError:
        digest = None
    if not STORE_NAME.fullmatch(name) or not isinstance(size, int) or size < 0:
        return Row(number, name, None, 0)
    return Row(number, name, digest, size)


def read_references(connection: sqlite3.Connection) -> dict[int, set[int]]:
    """Return the ids to which each id refers."""
    found: dict[int, set[int]] = {}
    for referrer, reference in connection.execute("select referrer, reference from Refs"):
        found.setdefault(referrer, set()).add(reference)
    return found


def with_referrers(
    gone: Iterable[int], known: Iterable[int], references: Mapping[int, set[int]]
) -> set[int]:
    """Return ``gone``, and every id that refers to it or to an id that is not in ``known``."""
    referrers: dict[int, set[int]] = {}
    alive = set(known)
    found = set(gone)
    for referrer, wanted in references.items():
        for reference in wanted:
            referrers.setdefault(reference, set()).add(referrer)
        if not wanted <= alive:
            found.add(referrer)
    pending = list(found)
    while pending:
        for referrer in referrers.get(pending.pop(), set()) - found:
            found.add(referrer)
            pending.append(referrer)
    return found & alive


def remove(connection: sqlite3.Connection, gone: Iterable[int]) -> None:
    """Remove store paths, together with all their referrers, and their dependent rows.

    ``gone`` must include the referrers, and ``pragma foreign_keys`` must be on.
    """
    connection.execute("create temporary table Gone (id integer primary key)")
    connection.executemany("insert into Gone values (?)", ((number,) for number in gone))
    connection.execute("delete from Refs where referrer in (select id from Gone)")
    if columns(connection, "RealisationsRefs"):
        side = (
            # those that were built here
            "(select id from Realisations where outputPath in (select id from Gone))"
        )
        connection.execute(
            f"delete from RealisationsRefs where realisationReference in {side}"  # noqa: S608
        )
    connection.execute("delete from ValidPaths where id in (select id from Gone)")
    connection.execute("drop table Gone")


def take_over(
    source: sqlite3.Connection, target: sqlite3.Connection, ids: Iterable[int]
) -> list[str]:
    """Insert the store paths that ``target`` lacks, with all that ``source`` records of them.

    All their references must be known to ``target``, or among them. Return the new names.
    """
    shared = [name for name in columns(source, "ValidPaths") if name != "id"]
    shared = [name for name in shared if name in set(columns(target, "ValidPaths"))]
    listed, marks = ", ".join(shared), ", ".join("?" * len(shared))
    wanted = list(ids)
    added = []
    for number in wanted:
        row = source.execute(
            f"select {listed} from ValidPaths where id = ?",  # noqa: S608 - Nix's columns
            (number,),
        ).fetchone()
        done = target.execute(
            f"insert or ignore into ValidPaths ({listed}) values ({marks})",  # noqa: S608
            row,
        )
        if done.rowcount:
            added.append(number)
    for number in added:
        _take_details(source, target, number)
    return [_path(source, number).removeprefix(f"{paths.PREFIX}/") for number in added]


def _take_details(source: sqlite3.Connection, target: sqlite3.Connection, number: int) -> None:
    """Copy the references and, for a derivation, its outputs."""
    me = _id(target, _path(source, number))
    for (reference,) in source.execute("select reference from Refs where referrer = ?", (number,)):
        target.execute(
            "insert or ignore into Refs (referrer, reference) values (?, ?)",
            (me, _id(target, _path(source, reference))),
        )
    if columns(source, "DerivationOutputs") and columns(target, "DerivationOutputs"):
        outputs = source.execute("select id, path from DerivationOutputs where drv = ?", (number,))
        for name, path in outputs:
            target.execute(
                "insert or ignore into DerivationOutputs (drv, id, path) values (?, ?, ?)",
                (me, name, path),
            )


def _path(connection: sqlite3.Connection, number: int) -> str:
    row = connection.execute("select path from ValidPaths where id = ?", (number,)).fetchone()
    return str(row[0])


def _id(connection: sqlite3.Connection, path: str) -> int:
    row = connection.execute("select id from ValidPaths where path = ?", (path,)).fetchone()
    return int(row[0])
