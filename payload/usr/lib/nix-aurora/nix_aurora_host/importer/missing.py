"""Which store paths of the closure are to be imported.

The database is read, and Nix is not asked: its programs may be what is damaged, and a build user
may have put something in the place of one. What it knows is compared with the disk before anything
in the store is run.
"""

import os
from collections.abc import Iterable, Mapping

from nix_aurora_host import paths
from nix_aurora_host.database import nar
from nix_aurora_host.importer import workers
from nix_aurora_host.importer.closure import Closure

_NO_HASH = b""  # what no content has
# By name: SHA-256 and size of the NAR as registered; None where the database has no such hash.
Registered = Mapping[str, tuple[bytes | None, int]]


def read_registered(names: Iterable[str]) -> Registered:
    """Return what the database says of the named paths; raise sqlite3.Error."""
    from nix_aurora_host.database import rows, sqlite  # noqa: PLC0415 - a first import has none

    wanted = [f"{paths.PREFIX}/{name}" for name in names]
    with sqlite.connect(paths.DATABASE) as connection:
        found = rows.read_rows(connection, wanted)
    return {row.name: (row.digest, row.size) for row in found.values()}


def find_missing(closure: Closure, registered: Registered) -> set[str]:
    """Return the names that are not there, or that the database does not know."""
    return {
        name
        for name in closure.paths
        if name not in registered or not os.path.lexists(f"{paths.STORE}/{name}")
    }


def find_corrupt(closure: Closure, registered: Registered) -> set[str]:
    """Return the names of valid paths whose content is not what the database says, or not root's.

    One that was built here, and so differs from ours rightfully, is none.
    """
    corrupt = set()

    def check(name: str) -> None:
        digest, size = registered[name]
        try:
            nar.verify(paths.STORE, name, digest or _NO_HASH, size)
        except nar.ContentError:
            corrupt.add(name)

    workers.each(check, sorted(set(closure.paths) - find_missing(closure, registered)))
    return corrupt
