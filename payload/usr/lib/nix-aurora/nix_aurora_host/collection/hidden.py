"""Find roots that the collector would remove although their targets may only be hidden.

A root may lead to a link elsewhere: a profile or a result in a home. Nix's collector removes the
root if the target is missing, and skips it if it may not read the target (findRoots in nix
`src/libstore/gc.cc`). In both cases a user loses store paths if a disk is not mounted at that
moment.
"""

import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nix_aurora_host import mounts, paths
from nix_aurora_host.former.mounts import FSTAB, parse_fstab
from nix_aurora_host.system import link, read, run

# The directories in which disks appear, with their depth: /run/media/USER/DISK.
_AREAS = {"/mnt": 1, "/media": 2, "/run/media": 2}
_ROOT, _FIRST_USER = 0, 1000
_OWN = (f"{paths.PREFIX}/", f"{paths.AT}/", f"{paths.BASE}/")  # the store and Nix's state
_EMPTIED = ("/tmp", "/var/tmp")  # noqa: S108 - missing files there were deleted


@dataclass(frozen=True, slots=True)
class Hidden:
    """A root, its target, and the reason why the target may exist although it is not visible."""

    link: str
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class Places:
    """The places in which files of a host may be hidden.

    ``homes`` maps the home directories of users to their ids. ``unmounted`` are mount points of the
    host that are not mounted now. All these paths are without links.
    """

    homes: Mapping[str, int] = field(default_factory=dict)
    unmounted: frozenset[str] = frozenset()


def find_indirect() -> Iterator[tuple[str, str]]:
    """Yield links below gcroots that lead out of the store and Nix's state, with targets."""
    for directory, directories, files in os.walk(f"{paths.STATE}/gcroots"):
        for name in (*directories, *files):
            path = f"{directory}/{name}"
            if (leads := link(path)) is None:
                continue
            target = os.path.join(directory, leads)  # noqa: PTH118 - as the rest
            if not target.startswith(_OWN):
                yield path, target


def find_hidden() -> list[Hidden]:
    """Return the roots that a collection would remove now although they may still be needed."""
    places = gather_places()
    found = ((root, target, why_hidden(target, places)) for root, target in find_indirect())
    return [Hidden(root, target, reason) for root, target, reason in found if reason]


def gather_places() -> Places:
    """Return the places from the users and the mount units of the host."""
    homes = {
        os.path.realpath(entry.pw_dir): entry.pw_uid
        for entry in pwd.getpwall()
        if entry.pw_uid >= _FIRST_USER and entry.pw_dir not in {"", "/"}
    }
    shown = run(["systemctl", "show", "--property=Where,ActiveState", "*.mount"]).stdout
    known = {*parse_units(shown), *(line.point for line in parse_fstab(read(FSTAB) or ""))}
    mounted = {os.path.realpath(mount.point) for mount in mounts.read_mounts()}
    points = {os.path.realpath(point) for point in known if point.startswith("/")}
    return Places(homes, frozenset(points - mounted - {"/", *_EMPTIED}))


def parse_units(text: str) -> set[str]:
    """Return the directories of inactive mount units, from the output of systemctl show."""
    found = set()
    for block in text.split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if pairs.get("ActiveState") in {"inactive", "failed", "activating"}:
            found.add(pairs.get("Where", ""))
    return found


def why_hidden(target: str, places: Places) -> str | None:
    """Return why a root's target may only be hidden; None if it exists, or was deleted.

    Users can delete files in their own directories. So a target counts as deleted if the last
    directory of its path that still exists belongs to a user, or is writable for everyone.
    """
    try:
        os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    else:
        return None
    directory, name = os.path.split(os.path.normpath(target))
    whole = f"{os.path.realpath(directory).rstrip('/')}/{name}"
    for point in sorted(places.unmounted):
        if _is_inside(whole, point):
            return f"{point} is not mounted"
    for home, user in places.homes.items():
        if _is_inside(whole, home) and (reason := _why_no_home(home, user)):
            return reason
    return _why_no_directory(whole, places)


def _is_inside(path: str, directory: str) -> bool:
    return f"{path}/".startswith(f"{directory}/")


def _why_no_home(home: str, user: int) -> str | None:
    try:
        if os.stat(home).st_uid != user:  # noqa: PTH116 - as the rest
            return f"{home} does not belong to its user: it may not be mounted"
        return None if os.listdir(home) else f"{home} is empty: it may not be mounted"  # noqa: PTH208
    except OSError as error:
        return f"{home} is not there: {error.strerror}"


def _why_no_directory(whole: str, places: Places) -> str | None:
    missing, parent = whole, os.path.dirname(whole)  # noqa: PTH120 - as the rest
    while not Path(parent).is_dir():
        missing, parent = parent, os.path.dirname(parent)  # noqa: PTH120 - as the rest
    above = {os.path.dirname(home) for home in places.homes}  # noqa: PTH120 - as the rest
    if parent in {"/", os.path.realpath("/home"), *above} - {*_EMPTIED}:
        return f"{missing} is not there"
    if _is_place_of_disk(missing) and not os.path.ismount(parent):
        return f"{missing} is not there: a disk may be missing"
    status = os.stat(parent)  # noqa: PTH116 - as the rest
    if status.st_uid != _ROOT or status.st_mode & stat.S_ISVTX or os.listdir(parent):  # noqa: PTH208
        return None
    if _is_inside(parent, os.path.realpath(pwd.getpwuid(_ROOT).pw_dir)):
        return None  # root may have deleted it
    return f"{parent} is empty: it may not be mounted"


def _is_place_of_disk(path: str) -> bool:
    return any(
        _is_inside(path, area) and path.count("/") - area.count("/") <= depth
        for area, depth in ((os.path.realpath(area), depth) for area, depth in _AREAS.items())
    )
