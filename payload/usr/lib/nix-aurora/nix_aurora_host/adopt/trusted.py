"""Find directories that only root can have created: the owner of any part of a path controls it.

Each part is opened through its parent, and no link is followed. A path that passes can be used by
its name afterwards, since only root can replace a part.
"""

import os
import stat

from nix_aurora_host.errors import CommandError
from nix_aurora_host.text import command, printable

TOP = "/"
"""The directory that is trusted without a check."""

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_GROUP, _OTHERS = stat.S_IWGRP, stat.S_IWOTH
_INNER = ("var", "var/nix", "var/nix/db")


def resolve(directory: str) -> str:
    """Return the path without links; raise CommandError if not only root can change it.

    This applies to all parts of the path, and to the parts of a store that Nix writes as root.
    """
    path = os.path.realpath(directory)
    require_trusted(path)
    for name in _INNER:
        require_trusted(f"{path}/{name}", path)
    _require_store(f"{path}/store")
    _require_file(f"{path}/var/nix/db/db.sqlite")
    return path


def require_trusted(path: str, below: str | None = None) -> None:
    """Raise CommandError unless all parts of a path are root's alone, ``below`` one if given."""
    start = TOP if below is None else below
    here, descriptor = start.rstrip("/"), os.open(start, _STEP)
    try:
        for part in path[len(here) :].split("/"):
            if not part:
                continue
            here = f"{here}/{part}"
            inner = _open(part, _STEP, descriptor, here)
            os.close(descriptor)
            descriptor = inner
            _require(os.fstat(descriptor), here)
    finally:
        os.close(descriptor)


def _open(name: str, flags: int, descriptor: int, path: str) -> int:
    try:
        return os.open(name, flags, dir_fd=descriptor)
    except OSError as error:
        raise CommandError(
            f"cannot adopt a store: {printable(path)}: {error.strerror}",
            command(["ls", "-ld", path]),
        ) from error


def _require(status: os.stat_result, path: str, allowed: int = 0) -> None:
    """Raise CommandError if a user other than root may write."""
    mode = stat.S_IMODE(status.st_mode)
    forbidden = _OTHERS | (_GROUP if status.st_gid != 0 else 0)
    hint = command(["ls", "-ld", path])
    if status.st_uid != os.geteuid():
        raise CommandError(
            f"cannot adopt a store: {printable(path)}: expected the owner {os.geteuid()}, got "
            f"{status.st_uid}",
            hint,
        )
    if mode & forbidden & ~allowed:
        raise CommandError(
            f"cannot adopt a store: {printable(path)}: expected that only root can write to it, "
            f"got mode {mode:04o}",
            hint,
        )


def _require_store(path: str) -> None:
    """Check a store directory: build users may add names to it, and remove only their own."""
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise CommandError(
            f"cannot adopt a store: {printable(path)}: expected a directory",
            command(["ls", "-ld", path]),
        )
    _require(status, path, _GROUP if status.st_mode & stat.S_ISVTX else 0)


def _require_file(path: str) -> None:
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise CommandError(
            f"cannot adopt a store: {printable(path)}: expected a regular file",
            command(["ls", "-l", path]),
        )
    _require(status, path)
