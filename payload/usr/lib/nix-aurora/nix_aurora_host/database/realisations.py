"""The realisations in a copy of Nix's database: the outputs to which derivations were built.

Nix writes them if content-addressed derivations are enabled: `ca-specific-schema.sql`. Each
revision of that experiment has its own tables. An output is the number of a store path in the first
two tables, and its name in the third. The first one has references between its rows.
"""

import sqlite3
from collections.abc import Collection, Mapping
from typing import NamedTuple

from nix_aurora_host import paths
from nix_aurora_host.database.sqlite import columns

_TABLES = ("Realisations", "BuildTraceV2", "BuildTraceV3")
_REFERENCES = "RealisationsRefs"  # of the first revision


class Key(NamedTuple):
    """The key with which Nix looks a realisation up."""

    table: str
    derivation: str
    output: str


class Row(NamedTuple):
    """A row's number, and the name of the output's store path."""

    number: int
    path: str


def find_missing(
    source: sqlite3.Connection, target: sqlite3.Connection, valid: Collection[str]
) -> dict[Key, Row]:
    """Return the rows of ``source`` that ``target`` lacks, and all of whose subjects are known.

    ``valid`` has the names of the store paths that count as valid. A realisation that refers to
    another one needs that one. A table that ``target`` lacks is left out: its Nix does not use it.
    """
    found: dict[Key, Row] = {}
    for table in _TABLES:
        if not (columns(source, table) and columns(target, table)):
            continue
        known = _read_rows(target, table).keys()
        wanted = {
            key: row
            for key, row in _read_rows(source, table).items()
            if key not in known and row.path in valid
        }
        found |= _with_all_references(source, wanted, known) if table == _TABLES[0] else wanted
    return found


def take_over(source: sqlite3.Connection, target: sqlite3.Connection) -> int:
    """Insert the realisations that ``target`` lacks and whose outputs it knows.

    Return their number.
    """
    numbers = {
        str(path).removeprefix(f"{paths.PREFIX}/"): number
        for number, path in target.execute("select id, path from ValidPaths")
    }
    missing = find_missing(source, target, numbers.keys())
    for key, row in missing.items():
        _insert(source, target, key, row, numbers[row.path])
    _insert_references(source, target, missing)
    return len(missing)


def _read_rows(connection: sqlite3.Connection, table: str) -> dict[Key, Row]:
    # The number of a store path is an integer, its name is text.
    rows = connection.execute(
        "select drvPath, outputName, t.rowid, coalesce(path, outputPath)"  # noqa: S608 - constants
        f" from {table} t left join ValidPaths v on v.id = outputPath"
    )
    return {
        Key(table, str(drv), str(output)): Row(number, str(path).removeprefix(f"{paths.PREFIX}/"))
        for drv, output, number, path in rows
    }


def _with_all_references(
    source: sqlite3.Connection, wanted: Mapping[Key, Row], known: Collection[Key]
) -> dict[Key, Row]:
    """Return those of ``wanted`` whose references are known, or are also wanted and kept."""
    references = _read_references(source)
    kept = dict(wanted)
    pending = True
    while pending:
        there = kept.keys() | set(known)
        lacking = [key for key in kept if not there.issuperset(references.get(key, ()))]
        for key in lacking:
            del kept[key]
        pending = bool(lacking)
    return kept


def _read_references(source: sqlite3.Connection) -> dict[Key, list[Key]]:
    if not columns(source, _REFERENCES):
        return {}
    keys = {row.number: key for key, row in _read_rows(source, _TABLES[0]).items()}
    found: dict[Key, list[Key]] = {}
    rows = source.execute(f"select referrer, realisationReference from {_REFERENCES}")  # noqa: S608
    for referrer, reference in rows:
        if referrer in keys and reference in keys:
            found.setdefault(keys[referrer], []).append(keys[reference])
    return found


def _insert(
    source: sqlite3.Connection, target: sqlite3.Connection, key: Key, row: Row, output: int
) -> None:
    """Insert one row, with the columns that both sides have; ``output`` is a path's number."""
    theirs = set(columns(target, key.table))
    shared = [name for name in columns(source, key.table) if name != "id" and name in theirs]
    listed, marks = ", ".join(shared), ", ".join("?" * len(shared))
    (former,) = source.execute(
        f"select {listed} from {key.table} where rowid = ?",  # noqa: S608 - Nix's columns
        (row.number,),
    )
    values = dict(zip(shared, former, strict=True))
    if isinstance(values["outputPath"], int):
        values["outputPath"] = output
    target.execute(
        f"insert into {key.table} ({listed}) values ({marks})",  # noqa: S608
        tuple(values.values()),
    )


def _insert_references(
    source: sqlite3.Connection, target: sqlite3.Connection, added: Collection[Key]
) -> None:
    if not columns(target, _REFERENCES):
        return
    now = {key: row.number for key, row in _read_rows(target, _TABLES[0]).items()}
    target.executemany(
        f"insert into {_REFERENCES} (referrer, realisationReference) values (?, ?)",  # noqa: S608
        (
            (now[key], now[other])
            for key, others in _read_references(source).items()
            for other in others
            if key in added
        ),
    )
