"""Copy /var/lib/nix to another file system, and compare the copy with the original.

The copy keeps owners, modes, times, hard links, access control lists, SELinux labels and other
attributes. It has no sockets, because systemd creates them.
"""

import errno
import os
import stat
from collections.abc import Iterator
from itertools import zip_longest

from nix_aurora_host.adopt import tree
from nix_aurora_host.adopt.tree import Entry
from nix_aurora_host.database.progress import Progress
from nix_aurora_host.importer import clone
from nix_aurora_host.move.places import KEPT, MARKER

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ONE_FILE_SYSTEM = "btrfs."  # attributes for the way in which one file system stores a file


def copy(source: str, target: str, progress: Progress) -> int:
    """Copy the content of a directory into another; return the number of names."""
    links: dict[tuple[int, int], str] = {}
    directories = []
    count = 0
    for entry in _entries(source):
        new = f"{target}/{entry.path}"
        count += 1
        if stat.S_ISDIR(entry.status.st_mode):
            os.mkdir(new, 0o700)
            directories.append((new, entry.status, _attributes(_name(entry))))
        elif not _link(entry, new, links):
            _make(entry, new, progress)
            _take_over(new, entry.status, _attributes(_name(entry)))
    directories.append((target, os.lstat(source), _attributes(source)))
    for new, status, attributes in reversed(directories[:-1]):
        _take_over(new, status, attributes)
    _take_over(*directories[-1])
    return count


def _entries(top: str) -> Iterator[Entry]:
    for entry in tree.walk(top, lambda path: path in {KEPT, MARKER}):
        if not stat.S_ISSOCK(entry.status.st_mode):
            yield entry


def _name(entry: Entry) -> str:
    """Return a path that is valid until the next entry, even if users rename directories."""
    return f"/proc/self/fd/{entry.directory}/{entry.name}"


def _link(entry: Entry, new: str, links: dict[tuple[int, int], str]) -> bool:
    """Link a file to a copy under its other name; return whether there was one."""
    if entry.status.st_nlink < 2:
        return False
    first = links.setdefault((entry.status.st_dev, entry.status.st_ino), new)
    if first == new:
        return False
    try:
        os.link(first, new, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        links[entry.status.st_dev, entry.status.st_ino] = new
        return False  # a file cannot have more names there
    return True


def _make(entry: Entry, new: str, progress: Progress) -> None:
    mode = entry.status.st_mode
    if entry.target is not None:
        os.symlink(entry.target, new)
    elif stat.S_ISREG(mode):
        source = os.open(entry.name, _READ, dir_fd=entry.directory)
        try:
            target = os.open(new, _MAKE, 0o600)
            try:
                clone.copy_content(source, target, entry.status.st_size)
            finally:
                os.close(target)
        finally:
            os.close(source)
        progress.add(entry.status.st_size)
    else:  # a pipe
        os.mknod(new, stat.S_IFMT(mode) | 0o600, entry.status.st_rdev)


def _attributes(path: str) -> dict[str, bytes]:
    names = os.listxattr(path, follow_symlinks=False)
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in names
        if not name.startswith(_ONE_FILE_SYSTEM)
    }


def _take_over(new: str, status: os.stat_result, attributes: dict[str, bytes]) -> None:
    os.chown(new, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(new, stat.S_IMODE(status.st_mode))
    for name, value in attributes.items():
        os.setxattr(new, name, value, follow_symlinks=False)
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def find_difference(source: str, target: str) -> str | None:
    """Return the first path at which a copy differs from the original; None if it is equal."""
    one, other = os.lstat(source), os.lstat(target)
    if _look(one) != _look(other) or _attributes(source) != _attributes(target):
        return "."
    for old, new in zip_longest(_entries(source), _entries(target)):
        if old is None or new is None or old.path != new.path or old.target != new.target:
            return min(entry.path for entry in (old, new) if entry is not None)
        same = _look(old.status) == _look(new.status)
        if not same or _attributes(_name(old)) != _attributes(_name(new)):
            return str(old.path)
    return None


def _look(status: os.stat_result) -> tuple[int, ...]:
    """Return the values to compare. Not every file system stores fractions of a second."""
    seconds = status.st_mtime_ns // 1_000_000_000
    regular = (status.st_size,) if stat.S_ISREG(status.st_mode) else ()
    return (status.st_mode, status.st_uid, status.st_gid, seconds, *regular)
