"""Find the store paths of the closure that must be imported.

The database is read without Nix: its programs may be damaged, and a build user may have replaced
one. The records are compared with the disk before anything in the store is run.
"""

import os
from collections.abc import Iterable, Mapping

from nix_aurora_host import paths
from nix_aurora_host.database import nar
from nix_aurora_host.importer import workers
from nix_aurora_host.importer.closure import Closure

_NO_HASH = b""  # no content has this hash
# By name: the registered SHA-256 and size of the NAR; None if the database has no valid hash.
Registered = Mapping[str, tuple[bytes | None, int]]


def read_registered(names: Iterable[str]) -> Registered:
    """Return the database's records of the named paths; raise sqlite3.Error."""
    from nix_aurora_host.database import rows, sqlite  # noqa: PLC0415 - a first import has none

    wanted = [f"{paths.PREFIX}/{name}" for name in names]
    with sqlite.connect(paths.DATABASE) as connection:
        found = rows.read_rows(connection, wanted)
    return {row.name: (row.digest, row.size) for row in found.values()}


def find_missing(closure: Closure, registered: Registered) -> set[str]:
    """Return the names that are missing, or that the database does not know."""
    return {
        name
        for name in closure.paths
        if name not in registered or not os.path.lexists(f"{paths.STORE}/{name}")
    }


def find_corrupt(closure: Closure, registered: Registered) -> set[str]:
    """Return the valid paths whose content differs from its record, or is not root's.

    A path that was built here and rightfully differs from ours is not among them.
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
