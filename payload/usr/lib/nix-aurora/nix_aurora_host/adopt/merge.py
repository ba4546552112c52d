"""What this host's store lacks, taken over from another one: paths, rows, profiles, roots.

What this host has under a name stays as it is. Everything can be done again after a kill: paths
that were placed are compared and kept, and rows come in one transaction.
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
    """Return what this host's database does not know."""
    with sqlite.connect(paths.DATABASE) as connection:
        known = {row.name for row in read_rows(connection).values()}
    return [row for row in rows if row.name not in known]


def place_paths(copies: str, rows: Collection[Row]) -> None:
    """Rename copies of store paths into the store.

    What lies there is not registered: it stays where its content is the same, for a run that was
    killed has put it there, and is moved aside elsewhere.
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
    """Take the rows of the named paths over from the other database; return the new names."""
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
    """Copy profiles and roots that this host has not; return how many links, and what it has.

    A profile comes with all of its generations, or not at all.
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
    """Return the profiles and roots of both sides with a link that only this host has.

    What a killed run has made is the same on both sides.
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
    """Make a directory of a user's, as it was, where there is none."""
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
    """Make a link, and return whether there was none."""
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
    """Open the directory that a name below var/nix lies in, without following a link of a user."""
    descriptor = os.open(paths.STATE, _DIRECTORY)
    for part in path.split("/")[:-1]:
        try:
            inner = os.open(part, _DIRECTORY, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor
