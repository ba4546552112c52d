"""Walk directory trees in which users may write, so that nobody can lead root out of them."""

import os
import resource
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nix_aurora_host.importer import clone

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Entry(NamedTuple):
    """An entry of a directory: its ``path`` from the top, and its target if it is a link.

    ``directory`` is a descriptor of its parent, which is open until the next entry.
    """

    path: str
    status: os.stat_result
    target: str | None
    directory: int

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.path.rpartition("/")[2]


def walk(top: str, skip: Callable[[str], bool] = lambda _: False) -> Iterator[Entry]:
    """Yield everything below a directory, each directory before its entries.

    Entries for which ``skip`` returns true are left out, with everything below them.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each level of the tree needs one
    stack = [("", os.open(top, _OPEN), [""])]
    stack[0] = ("", stack[0][1], sorted(os.listdir(stack[0][1]), reverse=True))
    try:
        while stack:
            above, directory, left = stack[-1]
            if not left:
                os.close(directory)
                stack.pop()
                continue
            name = left.pop()
            path = f"{above}{name}"
            if skip(path) or (entry := _look(path, name, directory)) is None:
                continue
            yield entry
            if stat.S_ISDIR(entry.status.st_mode):
                inner = _descend(name, directory)
                if inner is not None:
                    stack.append((f"{path}/", inner, sorted(os.listdir(inner), reverse=True)))
    finally:
        for _, directory, _ in stack:
            os.close(directory)


def _look(path: str, name: str, directory: int) -> Entry | None:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        link = stat.S_ISLNK(status.st_mode)
        target = os.readlink(name, dir_fd=directory) if link else None
    except OSError:  # its owner has removed or replaced it just now
        return None
    return Entry(path, status, target, directory)


def _descend(name: str, directory: int) -> int | None:
    try:
        return os.open(name, _OPEN, dir_fd=directory)
    except OSError:  # as above
        return None


def copy(top: str, target: str, skip: Callable[[str], bool]) -> list[str]:
    """Copy a tree with owners, modes and times; return the paths that were left out.

    ``target`` is created, in a directory that only root can enter. Sockets, pipes, devices, and
    files of users other than root are left out: a user's file may be as large as the disk.
    """
    left_out = []
    directories = [(target, os.lstat(top))]
    os.mkdir(target, 0o700)
    for entry in walk(top, skip):
        new = f"{target}/{entry.path}"
        mode = entry.status.st_mode
        if stat.S_ISDIR(mode):
            os.mkdir(new, 0o700)
            directories.append((new, entry.status))
        elif entry.target is not None:
            os.symlink(entry.target, new)
            _take_over(new, entry.status)
        elif stat.S_ISREG(mode) and entry.status.st_uid == os.geteuid():
            _copy_file(entry, new)
            _take_over(new, entry.status)
        else:
            left_out.append(entry.path)
    # adding entries changes a directory's time, so it is set last
    for new, status in reversed(directories):
        _take_over(new, status)
    return left_out


def _copy_file(entry: Entry, new: str) -> None:
    source = os.open(entry.name, _READ, dir_fd=entry.directory)
    try:
        target = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            clone.copy_content(source, target, os.fstat(source).st_size)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _take_over(path: str, status: os.stat_result) -> None:
    """Set owner, mode and time of the entry itself, without following a link."""
    os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
