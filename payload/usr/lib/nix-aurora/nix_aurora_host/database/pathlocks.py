"""Hold Nix's own locks of store paths: a build or download of a path holds ``<path>.lock``.

Without them a build could replace a path's content between its check and its registration. Source:
nix `src/libstore/pathlocks.cc`.
"""

import fcntl
import os
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nix_aurora_host import paths
from nix_aurora_host.database import files

# Nix writes this into a lock that it removes, so that waiting processes open another one
_STALE = b"d"


@contextmanager
def hold(names: Iterable[str]) -> Iterator[set[str]]:
    """Hold the locks of those store paths that no other process holds; yield their names."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each path needs one
    held: dict[str, int] = {}
    try:
        for name in names:
            descriptor = _lock(f"{paths.STORE}/{name}.lock")
            if descriptor is not None:
                held[name] = descriptor
        yield set(held)
    finally:
        for name, descriptor in held.items():
            os.unlink(f"{paths.STORE}/{name}.lock")  # noqa: PTH108 - a string
            os.write(descriptor, _STALE)
            os.close(descriptor)


def _lock(path: str) -> int | None:
    descriptor = files.private(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_size == 0:
            return descriptor
    except BlockingIOError:
        pass  # it is being built or downloaded
    os.close(descriptor)
    return None
