"""Looking at the database and its copies, without a change to either."""

import os
import sqlite3
from collections.abc import Iterable, Sequence

from nix_aurora_host import paths
from nix_aurora_host.database import sqlite
from nix_aurora_host.database.content import find_flaw
from nix_aurora_host.database.copies import find_flaw as find_copy_flaw
from nix_aurora_host.database.copies import read_copies
from nix_aurora_host.database.facts import Copy, Database
from nix_aurora_host.database.newer import find_copy, find_newer
from nix_aurora_host.database.rows import Row, read_rows
from nix_aurora_host.database.schema import find_fault as find_schema_fault
from nix_aurora_host.facts import Store
from nix_aurora_host.gather.roots import gather_roots
from nix_aurora_host.system import names, read

_READ = 256 << 20  # bytes of content that doctor looks at


def gather_database() -> Database:
    """Return what status shows: a few small files."""
    recovery = read(paths.RECOVERY)
    line = recovery.strip() if recovery else None
    own = names(paths.OWN)
    lost = None if own is None else paths.DATABASE_LOST.rpartition("/")[2] in own
    try:
        copies = tuple(read_copies())
    except PermissionError:
        return Database(copies=None, lost=lost, recovery=line)
    return Database(copies, lost, line)


def look_deeper(database: Database, store: Store) -> Database:
    """Return what doctor looks at beside that: the database's pages, roots, some content."""
    if not store.database:
        return database
    newer = find_newer()
    damage = _find_damage() if os.geteuid() == 0 else None
    kept = {path.removeprefix(f"{paths.PREFIX}/") for path in store.lost}
    vouched = _find_vouched(kept, database.copies or ()) if kept and damage is None else ()
    roots = {root: name for root, name in gather_roots().items() if name in kept - set(vouched)}
    return Database(
        copies=database.copies,
        lost=database.lost,
        recovery=database.recovery,
        damage=damage,
        misread=find_schema_fault(),
        schema=newer.schema if newer else None,
        reads=newer.reads if newer else None,
        readable=find_copy(newer, database.copies) if newer and database.copies else None,
        vouched=vouched,
        unknown=roots,
    )


def _find_damage() -> str | None:
    try:
        return sqlite.check_live(paths.DATABASE)
    except sqlite3.Error:  # busy, or out of memory: that is no damage
        return None


def _find_vouched(kept: Iterable[str], copies: Sequence[Copy]) -> tuple[str, ...]:
    """Return which of the names a copy knows with the content that is on disk.

    Any user can put another content at a path that was collected: the copy's word is compared with
    the disk, the smallest first, until one is found or enough was read. ``recover`` does the rest.
    """
    left = _READ
    for row in sorted(_known(set(kept), copies), key=lambda row: row.size):
        left -= row.size
        if left < 0:
            break
        if find_flaw(row) is None:
            return (row.name,)
    return ()


def _known(kept: set[str], copies: Sequence[Copy]) -> list[Row]:
    found: dict[tuple[str, bytes | None], Row] = {}
    for copy in copies:
        if find_copy_flaw(copy, {}) is not None:
            continue
        with sqlite.connect(copy.database, "immutable") as connection:
            rows = read_rows(connection).values()
        found |= {(row.name, row.digest): row for row in rows if row.name in kept}
    return list(found.values())
