"""Hold the two locks of an import: its own, and the one of Nix's collector."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from nix_aurora_host import paths
from nix_aurora_host.database import files
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer.say import say

_PATIENCE = 600.0  # seconds, for a lock that another process holds


@contextmanager
def import_lock() -> Iterator[None]:
    """Hold the lock that only one import has at a time."""
    with _lock(paths.IMPORT_LOCK, fcntl.LOCK_EX, "another import is running"):
        yield


@contextmanager
def collector_lock() -> Iterator[None]:
    """Hold Nix's own lock like a process that registers paths, so that no collection runs."""
    with _lock(paths.COLLECTOR_LOCK, fcntl.LOCK_SH, "a garbage collection is running"):
        yield


@contextmanager
def _lock(path: str, kind: int, other: str) -> Iterator[None]:
    with files.lock(path, kind, patience=0) as free:
        if free:
            yield
            return
    say(f"{other}: waiting for it")
    with files.lock(path, kind, patience=_PATIENCE) as free:
        if not free:
            raise CommandError(
                f"cannot lock {path}: another process has held it for {_PATIENCE:.0f} s",
                "sudo lslocks",
            )
        yield
