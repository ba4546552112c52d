"""Read files in a user's home without being blocked or misled by them.

A home belongs to its user, who may replace a start-up file by a pipe, a device, an endless file or
a link to any place, at any moment. So every part of a path is opened without following links, links
are followed only inside the home, and only a regular file is opened for reading.
"""

import errno
import os
import stat
from contextlib import suppress
from itertools import islice
from pathlib import Path

LIMIT = 1 << 20
"""How many bytes of a file are read; start-up files have some thousands."""

_MAX_NAMES = 1000
_MAX_LINKS = 40
_WITHOUT_SIDE_EFFECTS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def read_untrusted(home: str, name: str, limit: int = LIMIT) -> str | None:
    """Return the first ``limit`` bytes of the regular file ``name`` below ``home``, as text.

    Return None for everything else: no such file, a pipe, a link that leads out of ``home``.
    """
    try:
        found = _find(home, name)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return None
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(f"/proc/self/fd/{found}", flags), "rb") as file:  # noqa: PTH123 - no path
            return file.read(limit).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(found)


def names_untrusted(home: str, name: str) -> tuple[str, ...]:
    """Return the sorted names in the directory ``name`` below ``home``; none if it is missing."""
    try:
        found = _find(home, name)
    except OSError:
        return ()
    try:
        with os.scandir(f"/proc/self/fd/{found}") as entries:
            return tuple(sorted(entry.name for entry in islice(entries, _MAX_NAMES)))
    except OSError:
        return ()
    finally:
        os.close(found)


def exists_untrusted(home: str, name: str) -> bool:
    """Return whether ``name`` below ``home`` leads to something inside ``home``."""
    with suppress(OSError):  # then the result is False
        os.close(_find(home, name))
        return True
    return False


def _find(home: str, name: str) -> int:
    """Return a descriptor of ``name`` that is not open for reading; raise OSError."""
    pending = name.split("/")[::-1]
    directories = [os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    links = 0
    try:
        while pending:
            part = pending.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if len(directories) == 1:
                    raise OSError(errno.EXDEV, "a link leads out of the home")
                os.close(directories.pop())
                continue
            directories.append(os.open(part, _WITHOUT_SIDE_EFFECTS, dir_fd=directories[-1]))
            if not stat.S_ISLNK(os.fstat(directories[-1]).st_mode):
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, "too many links")
            target = os.readlink("", dir_fd=directories[-1])
            os.close(directories.pop())
            if target.startswith("/"):
                target = _inside(home, target)
                while len(directories) > 1:
                    os.close(directories.pop())
            pending += target.split("/")[::-1]
        return directories.pop()
    finally:
        for directory in directories:
            os.close(directory)


def _inside(home: str, target: str) -> str:
    """Return an absolute link's target relative to ``home``; raise OSError if it is outside."""
    for top in (home, str(Path(home).resolve())):  # /home may be a link to /var/home
        if target == top or target.startswith(f"{top}/"):
            return target[len(top) :]
    raise OSError(errno.EXDEV, "a link leads out of the home")
