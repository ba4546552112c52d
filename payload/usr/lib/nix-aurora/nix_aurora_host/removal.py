"""Directory trees, measured and removed without following a link or leaving a file system."""

import os
import resource
import stat

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class CrossingError(OSError):
    """Something else is mounted in the tree."""


def measure(path: str) -> int:
    """Give the bytes that a tree takes on its file system, as far as it can be read.

    Hard links count once.
    """
    seen: set[int] = set()
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
            if status.st_dev != device or status.st_ino in seen:
                continue
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                seen.add(status.st_ino)
            total += status.st_blocks * 512
            if stat.S_ISDIR(status.st_mode):
                pending.append(name)
    return total


def empty(path: str) -> None:
    """Remove what is in the directory ``path``; it stays.

    Every directory is opened by its parent and never through a link, so that nobody who may write
    somewhere in the tree can lead us out of it. Raises CrossingError before another file system.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # one for each level
    descriptor = os.open(path, _OPEN)
    try:
        _empty(descriptor, path, os.fstat(descriptor).st_dev)
    finally:
        os.close(descriptor)


def _empty(descriptor: int, path: str, device: int) -> None:
    # Depth first with a stack of our own: a store may be deeper than Python's recursion goes.
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
                pass
            inner, child = f"{where}/{name}", os.open(name, _OPEN, dir_fd=parent)
            status = os.fstat(child)
            stack.append((child, inner, os.listdir(child)))  # noqa: PTH208 - a descriptor
            if status.st_dev != device:
                raise CrossingError(None, "expected nothing mounted there", inner)
            os.fchmod(child, 0o700)  # root does not need it; tests do
    finally:
        for descriptor_, _, _ in stack[1:]:
            os.close(descriptor_)
