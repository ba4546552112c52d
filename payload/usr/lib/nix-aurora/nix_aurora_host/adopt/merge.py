"""Copy what this host's store lacks from another one: paths, rows, profiles, roots.

Names that exist on this host stay unchanged. Every step can be repeated after a kill: paths that
were placed are compared and kept, and rows come in one transaction.
"""

import os
import re
import sqlite3
import stat
from collections.abc import Collection, Mapping

from nix_aurora_host import paths
from nix_aurora_host.adopt import snapshot, tree
from nix_aurora_host.database import nar, realisations, sqlite
from nix_aurora_host.database.rows import Row, read_rows, take_over
from nix_aurora_host.importer import syscalls
from nix_aurora_host.importer.place import set_aside

_LINK = re.compile(r"(?P<profile>.+?)(?:-[0-9]+-link)?")
_SKIPPED = ("gcroots/profiles", "gcroots/nix-aurora", "gcroots/tmp")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def find_missing(rows: Collection[Row]) -> list[Row]:
    """Return the rows that this host's database lacks."""
    with sqlite.connect(paths.DATABASE) as connection:
        known = {row.name for row in read_rows(connection).values()}
    return [row for row in rows if row.name not in known]


def place_paths(copies: str, rows: Collection[Row]) -> None:
    """Rename copies of store paths into the store.

    An existing path there is not registered: it stays if its content is the same, since then a
    killed run has put it there, and is moved aside otherwise.
    """
    for row in rows:
        target = f"{paths.STORE}/{row.name}"
        if os.path.lexists(target):
            if _is_same(row):
                continue
            set_aside(target)
        syscalls.rename_new(f"{copies}/{row.name}", target)


def _is_same(row: Row) -> bool:
    try:
        nar.verify(paths.STORE, row.name, row.digest or b"", row.size)
    except nar.ContentError:
        return False
    return True


def register(database: str, names: Collection[str]) -> list[str]:
    """Copy the rows of the named paths from the other database; return the new names."""
    with snapshot.opened(database) as theirs, sqlite.connect(paths.DATABASE, "rw") as ours:
        ours.execute("pragma foreign_keys = on")
        ours.execute("begin immediate")
        ids = sorted(row.id for row in read_rows(theirs).values() if row.name in names)
        added = take_over(theirs, ours, ids)
        realisations.take_over(theirs, ours)
        _require_references(ours)
        ours.execute("commit")
    return added


def _require_references(connection: sqlite3.Connection) -> None:
    broken = connection.execute("pragma foreign_key_check").fetchone()
    if broken is not None:
        raise sqlite3.IntegrityError(f"a row of {broken[0]} refers to nothing")


def merge_links(state: str) -> tuple[int, list[str]]:
    """Copy profiles and roots that this host lacks; return the number of links, and kept names.

    A profile is copied with all of its generations, or not at all.
    """
    differing = _find_differing(_read_links(state), _read_links(paths.STATE))
    count = 0
    for entry in tree.walk(state, _is_skipped):
        if stat.S_ISDIR(entry.status.st_mode):
            _make_directory(entry)
        elif entry.target is not None and _profile(entry.path) not in differing:
            count += _make_link(entry)
    return count, sorted(differing)


def _read_links(state: str) -> dict[str, str]:
    return {
        entry.path: entry.target
        for entry in tree.walk(state, _is_skipped)
        if entry.target is not None
    }


def _find_differing(theirs: Mapping[str, str], ours: Mapping[str, str]) -> set[str]:
    """Return the profiles and roots in both stores with a link that only this host has.

    Links that a killed run has made are the same in both.
    """
    names = {_profile(path) for path in theirs}
    return {_profile(path) for path in ours if theirs.get(path) != ours[path]} & names


def _is_skipped(path: str) -> bool:
    return path.split("/", maxsplit=1)[0] not in {"profiles", "gcroots"} or path.startswith(
        _SKIPPED
    )


def _profile(path: str) -> str:
    match = _LINK.fullmatch(path)
    return path if match is None or not path.startswith("profiles/") else match["profile"]


def _make_directory(entry: tree.Entry) -> None:
    """Make a directory of a user's with the same attributes, unless it exists."""
    parent = _open_parent(entry.path)
    try:
        os.mkdir(entry.name, 0o700, dir_fd=parent)
        _own(entry, parent)
        os.chmod(entry.name, stat.S_IMODE(entry.status.st_mode), dir_fd=parent)
    except FileExistsError:
        pass
    finally:
        os.close(parent)


def _make_link(entry: tree.Entry) -> bool:
    """Make a link, and return whether it is new."""
    parent = _open_parent(entry.path)
    try:
        os.symlink(entry.target or "", entry.name, dir_fd=parent)
        _own(entry, parent)
    except FileExistsError:
        return False
    finally:
        os.close(parent)
    return True


def _own(entry: tree.Entry, parent: int) -> None:
    owner = entry.status.st_uid, entry.status.st_gid
    os.chown(entry.name, *owner, dir_fd=parent, follow_symlinks=False)


def _open_parent(path: str) -> int:
    """Open the parent directory of a name below var/nix, without following a link of a user."""
    descriptor = os.open(paths.STATE, _DIRECTORY)
    for part in path.split("/")[:-1]:
        try:
            inner = os.open(part, _DIRECTORY, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor
