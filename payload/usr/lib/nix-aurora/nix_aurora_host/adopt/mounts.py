"""Find the names of a directory in the table of mounts: binds give it several."""

import os
from collections.abc import Iterator, Sequence

from nix_aurora_host.mounts import Mount


def find_mount(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """Return the mount that shows an absolute path: the last one of several at one place."""
    over = [mount for mount in reversed(mounts) if _is_below(path, mount.point)]
    return max(over, key=lambda mount: len(mount.point), default=None)


def other_names(path: str, mounts: Sequence[Mount]) -> Iterator[str]:
    """Yield the names that a directory has through other mounts of its file system."""
    own = find_mount(path, mounts)
    if own is None:
        return
    inside = _join(own.root, path[len(own.point.rstrip("/")) :])
    for mount in mounts:
        if mount is not own and mount.device == own.device and _is_below(inside, mount.root):
            yield _join(mount.point, inside[len(mount.root.rstrip("/")) :])


def _is_below(path: str, top: str) -> bool:
    return f"{path}/".startswith(f"{top.rstrip('/')}/")


def _join(top: str, rest: str) -> str:
    return f"{top.rstrip('/')}/{rest.strip('/')}".rstrip("/") or "/"


def find_lasting_name(path: str, base: str, mounts: Sequence[Mount]) -> str:
    """Return a directory's name on the mount that has ``base``, if it has one.

    A directory cannot be renamed from a bind to another mount: rename(2), EXDEV.
    """
    wanted = find_mount(base, mounts)
    if find_mount(path, mounts) is wanted:
        return path
    names = [name for name in other_names(path, mounts) if _is_same(name, path)]
    shared = [name for name in names if find_mount(name, mounts) is wanted]
    return next(iter(shared or [path]))


def _is_same(name: str, path: str) -> bool:
    try:
        return os.path.samefile(name, path)
    except OSError:
        return False  # hidden by another mount
