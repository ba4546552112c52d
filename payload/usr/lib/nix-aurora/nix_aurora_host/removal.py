"""Directory trees, measured and removed without following a link or crossing a mount."""

import os
import re
import resource
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

_DOOMED = ".purge"  # in the tree: what is to be removed
_MOUNT_ID = re.compile(r"^mnt_id:\s*(\d+)$", re.MULTILINE)  # proc_pid_fdinfo(5)
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class CrossingError(OSError):
    """Something else is mounted in the tree."""


def measure(path: str, *, across: bool = False) -> int:
    """Return the bytes that a tree takes on its file system, as far as it can be read.

    Hard links count once. With ``across``, what is on another file system counts, too: an overlay
    has files of several, and so have the subvolumes of a btrfs.
    """
    seen: set[tuple[int, int]] = set()
    total = 0
    pending = [path]
    device = os.lstat(path).st_dev
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                found = [(entry.path, entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError:  # gone by now, not for this user, or deeper than a path can be long
            continue
        for name, status in found:
            me = status.st_dev, status.st_ino
            if (status.st_dev != device and not across) or me in seen:
                continue
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                seen.add(me)
            total += status.st_blocks * 512
            if stat.S_ISDIR(status.st_mode):
                pending.append(name)
    return total


def empty(path: str, first: Sequence[str] = ()) -> None:
    """Remove what is in the directory ``path``; it stays.

    The entries named in ``first`` are renamed, in that order, before anything is removed. So a
    removal that is killed leaves each of them whole or out of sight, never half removed in its
    place.

    Every directory is opened by its parent and never through a link, so that nobody who may write
    somewhere in the tree can lead us out of it. Raise CrossingError before another mount, also
    one of the same file system.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # one for each level
    descriptor = os.open(path, _OPEN)
    try:
        _set_aside(descriptor, path, first)
    finally:
        os.close(descriptor)
    # Opened anew: what was made since a directory was opened, btrfs may leave out of a list of it.
    descriptor = os.open(path, _OPEN)
    try:
        _empty(descriptor, path)
    finally:
        os.close(descriptor)


def _set_aside(descriptor: int, path: str, wanted: Sequence[str]) -> None:
    """Move those of ``wanted`` that exist into a directory of its own."""
    there = set(os.listdir(descriptor))
    for name in wanted:
        if name in there:
            doomed = f"{path}/{_DOOMED}"
            os.makedirs(doomed, 0o700, exist_ok=True)  # noqa: PTH103 - as the rest
            place = tempfile.mkdtemp(dir=doomed)
            os.rename(name, f"{place}/{name}", src_dir_fd=descriptor)
            os.fsync(descriptor)


def _mount_id(descriptor: int) -> str:
    """Return which mount a descriptor was opened on; st_dev would only say which file system."""
    match = _MOUNT_ID.search(Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii"))
    if match is None:
        raise OSError(None, "expected a mount id, got none", f"/proc/self/fdinfo/{descriptor}")
    return match[1]


def _empty(descriptor: int, path: str) -> None:
    # Depth first with a stack of our own: a store may be deeper than Python's recursion goes.
    mount = _mount_id(descriptor)
    stack = [(descriptor, path, os.listdir(descriptor))]
    try:
        while True:
            parent, where, left = stack[-1]
            if not left:
                if len(stack) == 1:
                    return
                os.close(parent)
                stack.pop()
                os.rmdir(os.path.basename(where), dir_fd=stack[-1][0])  # noqa: PTH119 - half a path
                continue
            name = left.pop()
            try:
                os.unlink(name, dir_fd=parent)
                continue
            except IsADirectoryError:
                pass  # the rest of the loop is for directories
            inner, child = f"{where}/{name}", os.open(name, _OPEN, dir_fd=parent)
            stack.append((child, inner, []))
            if _mount_id(child) != mount:
                raise CrossingError(None, "something is mounted there", inner)
            stack[-1][2].extend(os.listdir(child))  # noqa: PTH208 - a descriptor
            os.fchmod(child, 0o700)  # root does not need it; tests do
    finally:
        for descriptor_, _, _ in stack[1:]:
            os.close(descriptor_)
