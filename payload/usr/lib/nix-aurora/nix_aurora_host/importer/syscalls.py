"""System calls that Python does not have, by the C library's functions for them."""

import ctypes
import errno
import os

_AT_FDCWD = -100  # fcntl.h
_NOREPLACE = 1  # RENAME_NOREPLACE: stdio.h
_libc = ctypes.CDLL(None, use_errno=True)


def rename_new(old: str, new: str) -> None:
    """Rename ``old`` to ``new``, and raise FileExistsError where that is taken: renameat2(2).

    rename(2) replaces a file, and a directory that is empty.
    """
    words = _AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new)
    if not _libc.renameat2(*words, _NOREPLACE):
        return
    code = ctypes.get_errno()
    if code != errno.EINVAL or os.path.lexists(new):
        raise OSError(code, os.strerror(code), old, None, new)
    os.rename(old, new)  # a file system that cannot tell: this look has to do


def sync(path: str) -> None:
    """Have all of a file system on the disk: syncfs(2)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(descriptor)
