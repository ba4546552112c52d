"""Make system calls about mounts that Python lacks, through the C library's functions."""

import ctypes
import os

# sys/mount.h
BIND, RECURSIVE = 0x1000, 0x4000
UNBINDABLE, PRIVATE, SHARED = 1 << 17, 1 << 18, 1 << 20
_DETACH = 2
_NEWNS = 0x20000  # sched.h
# The names of a mount's own options in the table of mounts.
_FLAGS = {
    "ro": 1,
    "nosuid": 2,
    "nodev": 4,
    "noexec": 8,
    "nosymfollow": 0x100,
    "noatime": 0x400,
    "nodiratime": 0x800,
    "relatime": 1 << 21,
}
_libc = ctypes.CDLL(None, use_errno=True)


def flags_of(options: str) -> int:
    """Return the flags of mount(2) for a mount's own options, separated by commas."""
    return sum(_FLAGS.get(option, 0) for option in options.split(","))


def mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    """Mount a file system: mount(2)."""
    words = [os.fsencode(word) for word in (source, target, kind)]
    _check(_libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options)), target)


def bind(source: str, target: str, *, recursive: bool = False) -> None:
    """Show ``source`` on ``target``; with ``recursive`` include the mounts in it."""
    flags = BIND | RECURSIVE if recursive else BIND
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), None, flags, None), target)


def propagate(target: str, how: int) -> None:
    """Set how mounts in ``target`` reach its copies: PRIVATE, SHARED, UNBINDABLE, RECURSIVE."""
    _check(_libc.mount(None, os.fsencode(target), None, how, None), target)


def detach(target: str) -> None:
    """Unmount the topmost mount on ``target``; processes that use it keep it until they stop."""
    _check(_libc.umount2(os.fsencode(target), _DETACH), target)


def pivot_root(new: str, old: str) -> None:
    """Make ``new`` the root of every process whose root was the old one: pivot_root(2)."""
    _check(_libc.pivot_root(os.fsencode(new), os.fsencode(old)), new)


def unshare_mounts() -> None:
    """Move this process into a new mount namespace: unshare(2)."""
    _check(_libc.unshare(_NEWNS), "/")
    propagate("/", PRIVATE | RECURSIVE)


def _check(result: int, path: str) -> None:
    """Raise OSError if a call has failed."""
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
