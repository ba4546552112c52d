"""Make system calls that Python lacks, through the C library's functions."""

import ctypes
import errno
import os

_AT_FDCWD = -100  # fcntl.h
_NOREPLACE = 1  # RENAME_NOREPLACE: stdio.h
_EXCHANGE = 2  # RENAME_EXCHANGE: stdio.h
_NEWNS = 0x20000  # CLONE_NEWNS: sched.h
_BIND, _REC, _SLAVE = 4096, 16384, 1 << 19  # MS_BIND, MS_REC, MS_SLAVE: sys/mount.h
_libc = ctypes.CDLL(None, use_errno=True)


def rename_new(old: str, new: str) -> None:
    """Rename ``old`` to ``new``; raise FileExistsError if that exists: renameat2(2).

    rename(2) would replace a file, or an empty directory.
    """
    words = _AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new)
    try:
        _check(_libc.renameat2(*words, _NOREPLACE), old, new)
    except OSError as error:
        if error.errno != errno.EINVAL or os.path.lexists(new):
            raise
        os.rename(old, new)  # the file system lacks RENAME_NOREPLACE, so this check has to do


def exchange(one: str, other: str) -> None:
    """Exchange two names in one step: renameat2(2).

    At no moment is one of the names missing. Raise OSError if the file system cannot do that.
    """
    words = _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other)
    _check(_libc.renameat2(*words, _EXCHANGE), one, other)


def sync(path: str) -> None:
    """Write all of a file system to the disk: syncfs(2)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.syncfs(descriptor), path)
    finally:
        os.close(descriptor)


def show(source: str, target: str) -> None:
    """Show a directory in place of another only to this thread and its children.

    The thread gets its own mount namespace: unshare(2), mount(2). Later mounts of the host appear
    there, too.
    """
    enter_mount_namespace()
    bind(source, target)


def enter_mount_namespace() -> None:
    """Enter a new mount namespace, in which later mounts of the host appear, too."""
    _check(_libc.unshare(_NEWNS), "/")
    _check(_libc.mount(None, b"/", None, _REC | _SLAVE, None), "/")


def bind(source: str, target: str) -> None:
    """Show a directory in place of another, without the mounts inside it: mount(2)."""
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), None, _BIND, None), source, target)


def _check(result: int, path: str, other: str | None = None) -> None:
    """Raise OSError if a call has failed."""
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path, None, other)
