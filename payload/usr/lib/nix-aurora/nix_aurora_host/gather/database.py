"""Read the database and its copies without changing them."""

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nix_aurora_host import paths
from nix_aurora_host.database import sqlite
from nix_aurora_host.database.content import find_flaw
from nix_aurora_host.database.copies import Copy, read_copies
from nix_aurora_host.database.copies import find_flaw as find_copy_flaw
from nix_aurora_host.database.newer import find_copy, find_newer
from nix_aurora_host.database.roots import gather_roots
from nix_aurora_host.database.rows import Row, read_rows
from nix_aurora_host.database.schema import find_fault as find_schema_fault
from nix_aurora_host.gather.store import Store
from nix_aurora_host.system import names, read

_READ = 256 << 20  # bytes of content that doctor reads


@dataclass(frozen=True, slots=True)
class Database:
    """Nix's database and the signs of its loss; values that only root may read are None for others.

    ``lost`` means that an import created a new database without a copy. ``recovery`` is the
    progress of a running check of the store's content. Only doctor fills the others: ``damage`` is
    SQLite's report, ``misread`` a schema file that contains no number. ``schema`` is the database's
    schema and ``reads`` the packaged Nix's, if that is lower; ``readable`` is then the newest copy
    that this Nix reads. ``vouched`` are store paths that users keep, that the database does not
    know, and that a copy knows with the content that is on disk.
    """

    copies: tuple[Copy, ...] | None = ()
    lost: bool | None = False
    recovery: str | None = None
    damage: str | None = None
    misread: str | None = None
    schema: int | None = None
    reads: int | None = None
    readable: Copy | None = None
    vouched: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)  # roots of other unregistered paths

    @property
    def newer(self) -> bool:
        """Return whether a newer Nix made the database, so that the packaged one cannot read it."""
        return self.schema is not None and self.reads is not None and self.schema > self.reads

    @property
    def opens(self) -> bool:
        """Return whether the packaged Nix can open the database, as far as is known."""
        return self.damage is None and self.misread is None and not self.newer


def gather_database() -> Database:
    """Return what status shows, from a few small files."""
    recovery = read(paths.RECOVERY)
    line = recovery.strip() if recovery else None
    own = names(paths.OWN)
    lost = None if own is None else paths.DATABASE_LOST.rpartition("/")[2] in own
    try:
        copies = tuple(read_copies())
    except PermissionError:
        return Database(copies=None, lost=lost, recovery=line)
    return Database(copies, lost, line)


def look_deeper(database: Database, store: Store, nix: str) -> Database:
    """Return ``database`` with doctor's checks of its pages, of roots, and of some content.

    ``nix`` is the store path of the packaged Nix.
    """
    if not store.database:
        return database
    newer = find_newer(lambda: nix)
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
    except sqlite3.Error:  # busy, or out of memory, which is not damage
        return None


def _find_vouched(kept: Iterable[str], copies: Sequence[Copy]) -> tuple[str, ...]:
    """Return the names that a copy knows with the content that is on disk.

    Any user can put other content at a path that was collected. So the content is compared with the
    copy's hash, smallest path first, until one matches or the limit is reached. ``recover`` checks
    the rest.
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
