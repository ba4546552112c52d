"""The state of the store: space, import, database and roots."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from nix_aurora_host import layouts, paths
from nix_aurora_host.database.roots import gather_roots
from nix_aurora_host.gather.closure import Closure
from nix_aurora_host.occupants import find_mount_point
from nix_aurora_host.system import link, names, read


class AtNix(StrEnum):
    """The kind of object at /nix."""

    OURS = "ours"  # /var/lib/nix
    OTHER_MOUNT = "other mount"
    OTHER_STORE = "other store"  # a directory that is not empty
    DIRECTORY = "directory"  # an empty directory
    LINK = "link"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Store:
    """The state of /var/lib/nix and /nix; sizes are in bytes."""

    layout: str
    nix: AtNix
    free: int
    size: int
    inodes_free: int = 0
    inodes: int = 0  # 0: the file system has no fixed number of them, such as btrfs
    exists: bool = True
    read_only: bool = False  # as seen on /nix
    noexec: tuple[str, ...] = ()  # mount points with the option noexec
    listable: bool = True
    group: int | None = None
    stamp: str | None = None
    stamp_read: bool = True  # False: this user may not read it
    database: bool = True
    valid_paths: int | None = None  # None: the database cannot be read
    content: int | None = None
    missing: tuple[str, ...] = ()  # of the closure, not on disk
    unregistered: tuple[str, ...] = ()  # of the closure, on disk and not in the database
    lost: tuple[str, ...] = ()  # others with roots, on disk and not in the database
    roots: Mapping[str, str] = field(default_factory=dict)
    aside: tuple[str, ...] | None = ()  # None: cannot be read

    @property
    def relocated(self) -> bool:
        """Return whether store paths have a prefix of their own in this layout."""
        return layouts.is_relocated(layouts.read_layout(self.layout))


def gather_store(closure: Closure) -> Store:
    """Return the state of the store, from a few hundred stats and two queries."""
    try:
        space = os.statvfs(paths.STORE)
        status = Path(paths.STORE).stat()
    except OSError:
        space, status = os.statvfs("/var"), None
    present = {path for path in closure.paths if os.path.lexists(paths.physical(path))}
    kept = {f"{paths.PREFIX}/{name}" for name in gather_roots().values()} - present
    valid = _find_valid(present | kept)
    content = query("select count(*), coalesce(sum(narSize), 0) from ValidPaths")
    kind = _what_is_at_nix()
    roots = {name: link(f"{paths.ROOTS}/{name}") or "" for name in names(paths.ROOTS) or ()}
    stamp = read(paths.STAMP)
    reported = read(f"{paths.RUN}/layout") or ""
    return Store(
        layout=layout_of(reported, kind),
        nix=kind,
        free=space.f_bavail * space.f_frsize,
        size=space.f_blocks * space.f_frsize,
        inodes_free=space.f_favail,
        inodes=space.f_files,
        exists=status is not None,
        read_only=kind == AtNix.OURS and bool(os.statvfs(paths.AT).f_flag & os.ST_RDONLY),
        noexec=_noexec(kind),
        listable=os.access(paths.STORE, os.R_OK | os.X_OK),
        group=_group(status),
        stamp=stamp.strip() if stamp is not None else None,
        stamp_read=stamp is not None or _may_look_into(paths.OWN),
        database=os.path.lexists(paths.DATABASE),
        valid_paths=content[0][0] if content else None,
        content=content[0][1] if content else None,
        missing=tuple(path for path in closure.paths if path not in present),
        unregistered=tuple(sorted(present - valid)) if valid is not None else (),
        lost=tuple(sorted(kept - valid)) if valid is not None else (),
        roots={name: target for name, target in roots.items() if target},
        aside=names(paths.ASIDE),
    )


def _group(status: os.stat_result | None) -> int | None:
    # In nix-aurora shell, every group except the user's own appears as this one.
    unknown = int(read("/proc/sys/kernel/overflowgid") or 65534)
    return None if status is None or status.st_gid == unknown else status.st_gid


def _what_is_at_nix() -> AtNix:
    nix, base = Path(paths.AT), Path(paths.SHOWN)
    if nix.is_symlink():
        return AtNix.LINK
    if not nix.is_dir():
        return AtNix.NOTHING
    if base.is_dir() and nix.samefile(base):
        return AtNix.OURS
    if nix.is_mount():
        return AtNix.OTHER_MOUNT
    return AtNix.OTHER_STORE if names(paths.AT) else AtNix.DIRECTORY


def layout_of(reported: str, kind: AtNix) -> str:
    """Return the layout that this boot chose, or else the one that /nix suggests."""
    words = reported.split()
    return (
        words[0] if words else {AtNix.OURS: "mount", AtNix.NOTHING: "namespace"}.get(kind, "none")
    )


def _may_look_into(directory: str) -> bool:
    return os.access(directory, os.X_OK) or not os.path.lexists(directory)


def _noexec(kind: AtNix) -> tuple[str, ...]:
    """Return the mount points with noexec, of the store and of the directories that show it."""
    places = [paths.STORE, paths.AT] if kind == AtNix.OURS else [paths.STORE]
    found = []
    for place in places:
        try:
            if not os.statvfs(place).f_flag & os.ST_NOEXEC:
                continue
        except OSError:
            continue
        point = find_mount_point(read("/proc/self/mountinfo") or "", str(Path(place).resolve()))
        if point not in found:
            found.append(point)
    return tuple(found)


def _find_valid(wanted: Collection[str]) -> set[str] | None:
    marks = ",".join("?" * len(wanted))
    rows = query(
        f"select path from ValidPaths where path in ({marks})",  # noqa: S608 - marks
        tuple(wanted),
    )
    return None if rows is None else {path for (path,) in rows}


def query(statement: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]] | None:
    """Query Nix's database; return the rows, or None if this user cannot read it."""
    import sqlite3  # noqa: PLC0415 - only status, doctor and recover need it

    if not Path(paths.DATABASE).is_file():
        return None
    # A user cannot open a WAL database that no process has open, but then nothing changes it.
    for mode in ("mode=ro", "immutable=1"):
        try:
            connection = sqlite3.connect(f"file:{paths.DATABASE}?{mode}", uri=True, timeout=5)
            try:
                return connection.execute(statement, values).fetchall()
            finally:
                connection.close()
        except sqlite3.Error:
            continue
    return None
