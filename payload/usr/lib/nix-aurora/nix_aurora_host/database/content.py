"""Compare the content of the store with the records of a database."""

import os
import resource
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from nix_aurora_host import paths
from nix_aurora_host.database import nar
from nix_aurora_host.database.progress import Progress
from nix_aurora_host.database.rows import Row

_THREADS = 4  # at most; hashing and reading release Python's lock


def check_content(rows: Collection[Row], store: str | None = None) -> dict[str, str]:
    """Return the names of the paths whose content differs from its record, each with the reason.

    ``store`` is their directory if it is not this host's store.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each level of a tree needs one
    total = sum(row.size for row in rows)
    with (
        Progress("checking the content of the store", total) as progress,
        ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool,
    ):
        flaws = pool.map(lambda row: find_flaw(row, progress, store), rows)
        return {row.name: flaw for row, flaw in zip(rows, flaws, strict=True) if flaw is not None}


def find_flaw(row: Row, progress: Progress | None = None, store: str | None = None) -> str | None:
    """Return why a path's content differs from its record, or None if it does not."""
    place = store or paths.STORE
    if row.digest is None:
        return "the database has no valid hash for it"
    if not os.path.lexists(f"{place}/{row.name}"):
        return "it is not in the store"
    try:
        if progress is None:
            nar.verify(place, row.name, row.digest, row.size)
        else:
            nar.verify(place, row.name, row.digest, row.size, progress.add)
    except nar.ContentError as error:
        return str(error)
    return None
