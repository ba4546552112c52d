"""Where a directory lies, by the table of mounts: what is bound to a place has other names."""

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mount: ``root`` is the directory of the file system ``device`` that it shows at ``point``.

    ``source`` and ``kind`` are what is mounted and the file system's type.
    """

    device: str
    root: str
    point: str
    kind: str
    source: str


def parse_mounts(text: str) -> list[Mount]:
    """Parse /proc/self/mountinfo: proc_pid_mountinfo(5)."""
    found = []
    for line in text.splitlines():
        first, _, rest = line.partition(" - ")
        fields, more = first.split(" "), rest.split(" ")
        if len(fields) > 4 and len(more) > 1:
            root, point, source = (_unescape(field) for field in (fields[3], fields[4], more[1]))
            found.append(Mount(fields[2], root, point, more[0], source))
    return found


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def find_mount(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """Return the mount that shows an absolute path: of several at one place, the last."""
    over = [mount for mount in reversed(mounts) if _is_below(path, mount.point)]
    return max(over, key=lambda mount: len(mount.point), default=None)


def other_names(path: str, mounts: Sequence[Mount]) -> Iterator[str]:
    """Yield the names that a directory has through other mounts of its file system."""
    own = find_mount(path, mounts)
    if own is None:
        return
    inside = _join(own.root, path[len(own.point.rstrip("/")) :])
    for mount in mounts:
        if mount != own and mount.device == own.device and _is_below(inside, mount.root):
            yield _join(mount.point, inside[len(mount.root.rstrip("/")) :])


def _is_below(path: str, top: str) -> bool:
    return f"{path}/".startswith(f"{top.rstrip('/')}/")


def _join(top: str, rest: str) -> str:
    return f"{top.rstrip('/')}/{rest.strip('/')}".rstrip("/") or "/"


def find_lasting_name(path: str, base: str, mounts: Sequence[Mount]) -> str:
    """Return a directory's name on the mount that has ``base``, where it has one.

    What is bound to a place cannot be renamed from there to another mount: rename(2), EXDEV.
    """
    wanted = find_mount(base, mounts)
    if find_mount(path, mounts) == wanted:
        return path
    names = [name for name in other_names(path, mounts) if _is_same(name, path)]
    shared = [name for name in names if find_mount(name, mounts) == wanted]
    return next(iter(shared or [path]))


def _is_same(name: str, path: str) -> bool:
    try:
        return os.path.samefile(name, path)
    except OSError:
        return False  # hidden by another mount
