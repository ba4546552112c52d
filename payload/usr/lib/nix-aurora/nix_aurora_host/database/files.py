"""Write files that survive a power cut, and hold locks."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nix_aurora_host.disk import sync

_PAUSE = 0.1  # seconds


def private(path: str, flags: int) -> int:
    """Open a file that only its owner may read: an opener for open()."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def write(path: str, text: str) -> None:
    """Write a file for its owner only; it gets its final name once it is on the disk."""
    aside = f"{path}.new"
    with open(aside, "w", encoding="utf-8", opener=private) as file:
        file.write(text)
    sync(aside)
    os.replace(aside, path)  # noqa: PTH105 - a string
    sync(os.path.dirname(path))  # noqa: PTH120 - half a path


def remove(path: str) -> None:
    """Remove a file or a directory of our own if it exists."""
    if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114 - a string
        import shutil  # noqa: PLC0415 - it takes a while to load, and the import waits

        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)  # noqa: PTH108 - a string


@contextmanager
def lock(path: str, kind: int, *, patience: float | None = None) -> Iterator[bool]:
    """Hold a lock; yield whether it could be obtained.

    ``kind`` is fcntl.LOCK_SH or LOCK_EX. ``patience`` is in seconds; None waits forever.
    """
    deadline = None if patience is None else time.monotonic() + patience
    with open(path, "ab", opener=private) as file:
        while True:
            try:
                fcntl.flock(file, kind if deadline is None else kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if deadline is not None and time.monotonic() >= deadline:
                    yield False
                    return
                time.sleep(_PAUSE)
            else:
                yield True
                return


@contextmanager
def owner_only() -> Iterator[None]:
    """Make every new file, including SQLite's, accessible only to its owner."""
    former = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(former)
