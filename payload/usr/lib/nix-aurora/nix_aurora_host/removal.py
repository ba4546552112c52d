"""Measure and remove directory trees without following a link or crossing a mount."""

import os
import re
import resource
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

_DOOMED = ".purge"  # in the tree: contains the entries to remove
_MOUNT_ID = re.compile(r"^mnt_id:\s*(\d+)$", re.MULTILINE)  # proc_pid_fdinfo(5)
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class CrossingError(OSError):
    """Another file system or directory is mounted in the tree."""


def measure(path: str, *, across: bool = False) -> int:
    """Return the bytes that the readable part of a tree takes on its file system.

    Hard links count once. With ``across``, files on other file systems count, too: an overlay and
    the subvolumes of a btrfs consist of several.
    """
    seen: set[tuple[int, int]] = set()
    total = 0
    pending = [path]
    device = os.lstat(path).st_dev
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                found = [(entry.path, entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError:  # deleted meanwhile, not readable, or deeper than a path can be long
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
    """Remove the content of the directory ``path``, and keep the directory.

    The entries named in ``first`` are renamed, in that order, before anything is removed. So a
    removal that is killed leaves each of them whole or out of sight, never half removed in its
    place.

    Every directory is opened relative to its parent and never through a link. So a user who may
    write somewhere in the tree cannot lead the removal out of it. Raise CrossingError at another
    mount, even of the same file system.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # one descriptor for each level
    descriptor = os.open(path, _OPEN)
    try:
        _set_aside(descriptor, path, first)
    finally:
        os.close(descriptor)
    # Open it again: btrfs may leave entries out of a list that were created after the opening.
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
                os.rmdir(os.path.basename(where), dir_fd=stack[-1][0])  # noqa: PTH119 - a string
                continue
            name = left.pop()
            try:
                os.unlink(name, dir_fd=parent)
                continue
            except IsADirectoryError:
                pass  # the rest of the loop handles directories
            inner, child = f"{where}/{name}", os.open(name, _OPEN, dir_fd=parent)
            stack.append((child, inner, []))
            if _mount_id(child) != mount:
                raise CrossingError(None, "something is mounted there", inner)
            stack[-1][2].extend(os.listdir(child))  # noqa: PTH208 - a descriptor
            os.fchmod(child, 0o700)  # root does not need it; tests do
    finally:
        for descriptor_, _, _ in stack[1:]:
            os.close(descriptor_)
