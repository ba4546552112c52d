"""Copy one store path of the package into the work directory, as cheaply as possible.

Modes and times become those of Nix: 0444, or 0555 for directories and executable files, and one
second after 1970. SELinux labels come from the directory, and the owner is root.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable

_FICLONE = 0x40049409  # _IOW(0x94, 9, int): linux/fs.h; the same on x86_64 and aarch64
_CHUNK = 1 << 20
_TIME = (1_000_000_000, 1_000_000_000)  # nanoseconds: one second after 1970
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# The errors of a file system that cannot use a method, or not from that source: another one is
# tried.
_CANNOT = {
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTTY,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.ETXTBSY,
}

Way = Callable[[int, int, int], None]
# A function that creates a file in its own way: it gets the file, its status and the target, and
# returns whether it did.
Make = Callable[[str, os.stat_result, str], bool]


class UnfitError(Exception):
    """The source contains something that no store path may contain."""


def share(source: int, target: int, _size: int) -> None:
    """Let the target share the source's extents: nothing is copied."""
    fcntl.ioctl(target, _FICLONE, source)


def copy_in_kernel(source: int, target: int, size: int) -> None:
    """Copy inside the kernel, without reading the data into this process."""
    done = 0
    while done < size and (count := os.copy_file_range(source, target, size - done, done, done)):
        done += count
    if done != size:  # some file systems copy nothing, and report success
        raise OSError(errno.EINVAL, "copy_file_range ended early")


def copy(source: int, target: int, _size: int) -> None:
    """Copy by reading and writing."""
    os.lseek(source, 0, os.SEEK_SET)
    os.lseek(target, 0, os.SEEK_SET)
    while chunk := os.read(source, _CHUNK):
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]


WAYS: tuple[Way, ...] = (share, copy_in_kernel, copy)


def can_share(source: str, target: str) -> bool:
    """Return whether a file can be shared with ``target``, which is created and removed again."""
    try:
        with open(source, "rb") as old, open(target, "xb") as new:
            share(old.fileno(), new.fileno(), 0)
    except OSError:
        return False
    finally:
        if os.path.lexists(target):
            os.unlink(target)
    return True


def clone(source: str, target: str, ways: tuple[Way, ...] = WAYS, make: Make | None = None) -> None:
    """Copy the store path ``source`` to ``target``, which does not exist.

    ``make`` is called first for each file. Then ``ways`` are tried; the last of them must work.
    Raise OSError, and UnfitError for a source with devices, sockets or pipes.
    """
    pending = [(source, target)]
    made = []
    while pending:
        old, new = pending.pop()
        status = os.lstat(old)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(new, 0o700)
            made.append(new)
            with os.scandir(old) as entries:
                pending += [(entry.path, f"{new}/{entry.name}") for entry in entries]
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(old), new)
            os.utime(new, ns=_TIME, follow_symlinks=False)
        elif stat.S_ISREG(status.st_mode):
            if make is None or not make(old, status, new):
                clone_file(old, new, ways)
        else:
            raise UnfitError(f"{old} is not a file, a directory or a link")
    for new in reversed(made):  # adding entries changes a directory's time, so it is set last
        os.chmod(new, 0o555)  # noqa: S103 - as Nix has it
        os.utime(new, ns=_TIME)


def clone_file(old: str, new: str, ways: tuple[Way, ...] = WAYS) -> None:
    """Copy one regular file to ``new``, which does not exist."""
    source = os.open(old, _READ)
    try:
        status = os.fstat(source)
        target = os.open(new, _MAKE, 0o600)
        try:
            copy_content(source, target, status.st_size, ways)
            os.fchmod(target, 0o555 if status.st_mode & stat.S_IXUSR else 0o444)
            os.utime(target, ns=_TIME)
        finally:
            os.close(target)
    finally:
        os.close(source)


def copy_content(source: int, target: int, size: int, ways: tuple[Way, ...] = WAYS) -> None:
    """Copy the content of a file of ``size`` bytes from one descriptor to another."""
    for way in ways[:-1]:
        try:
            way(source, target, size)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
        else:
            return
    ways[-1](source, target, size)
