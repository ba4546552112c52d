"""Restore a lost database from the newest intact copy, for the import.

The copy decides, not the disk: a row is kept if the content on disk has the hash that the row has
recorded. Signatures, content addresses and realisations are kept unchanged.
"""

import json
import os
import shutil
import sqlite3
import sys
import time
from pathlib import Path

from nix_aurora_host import disk, paths
from nix_aurora_host.database import files, sqlite
from nix_aurora_host.database.content import check_content
from nix_aurora_host.database.copies import Copy, find_flaw, read_copies
from nix_aurora_host.database.rows import (
    STORE_NAME,
    Row,
    read_references,
    read_rows,
    remove,
    take_over,
    with_referrers,
)
from nix_aurora_host.database.schema import SCHEMAS, read_schema
from nix_aurora_host.text import printable

_SHOWN = 20


def restore(fresh: str) -> bool:
    """Replace a new database by the newest intact copy; return whether there was one.

    ``fresh`` is a directory with a database that the packaged Nix has just made, and that knows
    only the packaged store paths: their content comes from the package. It also shows which schemas
    that Nix reads. Without a copy, it stays as it is, and a marker says so.
    """
    reads = {name: read_schema(fresh, name) for name in SCHEMAS}
    for copy in read_copies():
        flaw = find_flaw(copy, reads)
        if flaw is None:
            try:
                _restore(copy, fresh)
            except sqlite3.Error as error:
                if not (sqlite.is_broken(error) or isinstance(error, sqlite3.IntegrityError)):
                    raise
                flaw = str(error)
            else:
                files.remove(paths.DATABASE_LOST)
                return True
        _say(f"{copy.directory}: this copy cannot be used: {printable(flaw)}")
    _mark(fresh)
    return False


def _restore(copy: Copy, fresh: str) -> None:
    done = f"{fresh}.restored"
    files.remove(done)
    Path(done).mkdir(mode=0o755)
    for name in ("db.sqlite", *SCHEMAS):
        if os.path.lexists(f"{copy.directory}/{name}"):
            shutil.copyfile(f"{copy.directory}/{name}", f"{done}/{name}")
    _say(f"restoring the database from the copy of {copy.date}: {copy.count} store paths")
    with (
        sqlite.connect(f"{fresh}/db.sqlite") as new,
        sqlite.connect(f"{done}/db.sqlite", "rw") as old,
    ):
        old.execute("pragma foreign_keys = on")
        old.execute("begin immediate")
        packaged = {row.name: row for row in read_rows(new).values()}
        gone = _remove_changed(old, packaged)
        take_over(new, old, [row.id for row in packaged.values()])
        _correct(new, old, packaged)
        old.execute("commit")
    for name in os.listdir(done):  # noqa: PTH208 - names
        Path(done, name).chmod(0o644)  # the mode that Nix sets
        disk.sync(f"{done}/{name}")
    disk.sync(done)
    files.remove(fresh)
    Path(done).rename(fresh)
    _tell(gone)


def _remove_changed(old: sqlite3.Connection, packaged: dict[str, Row]) -> dict[str, str]:
    """Remove the rows that differ from the disk, with their referrers; return them with reasons."""
    rows = read_rows(old)
    flaws = check_content([row for row in rows.values() if row.name not in packaged])
    bad = {number for number, row in rows.items() if row.name in flaws}
    gone = with_referrers(bad, rows, read_references(old))
    remove(old, gone)
    return {
        rows[number].name: flaws.get(rows[number].name, "it needs one of these") for number in gone
    }


def _correct(new: sqlite3.Connection, old: sqlite3.Connection, packaged: dict[str, Row]) -> None:
    """Register the packaged paths as packaged: the import puts the package's content there."""
    now = {row.name: row for row in read_rows(old).values()}
    changed = [row for row in packaged.values() if now[row.name].digest != row.digest]
    names = {row.id: row.name for row in packaged.values()}
    references = read_references(new)
    for row in changed:
        mine = now[row.name].id
        text, size = new.execute(
            "select hash, narSize from ValidPaths where id = ?", (row.id,)
        ).fetchone()
        old.execute(
            "update ValidPaths set hash = ?, narSize = ?, sigs = null, ca = null where id = ?",
            (text, size, mine),
        )
        old.execute("delete from Refs where referrer = ?", (mine,))
        old.executemany(
            "insert into Refs (referrer, reference) values (?, ?)",
            ((mine, now[names[other]].id) for other in references.get(row.id, ())),
        )


def _tell(gone: dict[str, str]) -> None:
    if not gone:
        _say("restored the database; the content of every store path is as it was registered")
        return
    _say(f"restored the database without {len(gone)} store paths:")
    for name in sorted(gone)[:_SHOWN]:
        _say(f"  {printable(name)}: {gone[name]}")
    if len(gone) > _SHOWN:
        _say(f"  and {len(gone) - _SHOWN} more")


def _mark(fresh: str) -> None:
    """Record that the store had more paths than the new database knows."""
    with sqlite.connect(f"{fresh}/db.sqlite") as new:
        packaged = {row.name for row in read_rows(new).values()}
    found = {name for name in os.listdir(paths.STORE) if STORE_NAME.fullmatch(name)}  # noqa: PTH208
    if not (others := found - packaged):
        return
    files.write(
        paths.DATABASE_LOST, json.dumps({"time": int(time.time()), "paths": len(others)}) + "\n"
    )
    _say(
        f"the new database does not know {len(others)} other store paths, and there is no copy "
        "of the former one"
    )
    print("hint: sudo nix-aurora recover", file=sys.stderr, flush=True)


def _say(line: str) -> None:
    print(f"nix-aurora: {line}", file=sys.stderr, flush=True)
