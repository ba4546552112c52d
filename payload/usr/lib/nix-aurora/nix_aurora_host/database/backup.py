"""Copy Nix's database once a day if it has changed.

A copy replaces an older one only after SQLite has found it intact. The program may be killed at any
instruction: the newest earlier copy exists at each of them.
"""

import fcntl
import hashlib
import json
import os
import sqlite3
import time
from pathlib import Path

from nix_aurora_host import disk, paths
from nix_aurora_host.database import files, sqlite
from nix_aurora_host.database.copies import (
    FULLEST,
    INFO,
    MUCH,
    NEWEST,
    SECOND,
    Copy,
    read_copies,
)
from nix_aurora_host.database.schema import SCHEMAS, find_fault, read_schema
from nix_aurora_host.errors import CommandError
from nix_aurora_host.text import printable

_SPARE = 64 << 20  # bytes that a copy leaves free
_NEW, _OLD = "new", "old"  # leftovers of a run that was killed
_PATIENCE = 600.0  # seconds, for a running import
_HEADER = 100  # bytes of a database file with counters that change without its content


def backup() -> str:
    """Copy the database if that is due; return one line about the result.

    Raise CommandError if the database is broken, and then request an import.
    """
    if reason := _not_due():
        return reason
    Path(paths.COPIES).mkdir(mode=0o700, exist_ok=True)
    with (
        files.owner_only(),
        files.lock(paths.IMPORT_LOCK, fcntl.LOCK_EX, patience=_PATIENCE) as own,
    ):
        if not own:
            return "not copied: an import is running"
        with files.lock(paths.DATABASE_LOCK, fcntl.LOCK_SH, patience=_PATIENCE) as open_:
            if not open_:
                return "not copied: another process has locked the database"
            return _not_due() or _copy()


def request_import(reason: str) -> CommandError:
    """Request an import, which restores a broken database, and return the error to raise."""
    files.write(paths.IMPORT_NEEDED, "")
    return CommandError(
        f"cannot copy the database: {printable(reason)}",
        f"sudo systemctl restart {paths.SETUP}",
    )


def _not_due() -> str | None:
    if not Path(paths.DATABASE).exists():
        return "not copied: there is no database yet"
    if Path(paths.DATABASE_LOST).exists():
        return (
            "not copied: this database was made after another one was lost; "
            "to find out what it lacks: sudo nix-aurora recover"
        )
    if not Path(paths.DATABASE_DIRECTORY, SCHEMAS[0]).exists():
        return "not copied: the database has no schema yet"
    if (fault := find_fault()) is not None:
        raise request_import(fault)
    newest = next((copy for copy in read_copies() if copy.generation == NEWEST), None)
    if newest is not None and newest.source == _source():
        return "not copied: the database has not changed"
    return None


def _source() -> str:
    """Return a description of the database's files that changes with each transaction."""
    looks = []
    for ending in ("", "-wal"):
        file = Path(f"{paths.DATABASE}{ending}")
        if not file.exists() or not (status := file.stat()).st_size:
            looks.append("nothing")  # every reader of the database leaves an empty log
        else:
            looks.append(f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}")
    return " ".join(looks)


def _copy() -> str:
    for name in (_NEW, _OLD):
        files.remove(f"{paths.COPIES}/{name}")
    need = sum(
        Path(f"{paths.DATABASE}{ending}").stat().st_size
        for ending in ("", "-wal")
        if Path(f"{paths.DATABASE}{ending}").exists()
    )
    space = os.statvfs(paths.COPIES)
    if (free := space.f_bavail * space.f_frsize) < need + _SPARE:
        return (
            f"not copied: {paths.COPIES}: expected {(need + _SPARE) >> 20} MiB of free space, got "
            f"{free >> 20}"
        )
    new = f"{paths.COPIES}/{_NEW}"
    Path(new).mkdir(mode=0o700)
    source = _source()
    try:
        count = _copy_database(f"{new}/db.sqlite")
    except sqlite3.Error as error:
        if sqlite.is_broken(error):
            raise request_import(f"{paths.DATABASE}: {error}") from error
        raise CommandError(
            f"cannot copy the database: {paths.DATABASE}: {error}", "sudo nix-aurora doctor"
        ) from error
    digest = _digest(f"{new}/db.sqlite")
    for name in SCHEMAS:
        text = read_schema(paths.DATABASE_DIRECTORY, name)
        if text is not None:
            files.write(f"{new}/{name}", str(text))
    copy = Copy(_NEW, count, int(time.time()), source, digest)
    _write_info(copy)
    copies = {old.generation: old for old in read_copies()}
    newest = copies.get(NEWEST)
    if newest is not None and newest.digest == digest:
        _write_info(Copy(NEWEST, newest.count, newest.time, source, digest))
        files.remove(new)
        return "not copied: the database's content has not changed"
    _rotate(copy, copies)
    return f"copied the database: {count} store paths"


def _copy_database(path: str) -> int:
    """Copy the database in one transaction into a single file; return its number of paths."""
    Path(path).touch(mode=0o600)
    with sqlite.connect(paths.DATABASE) as live, sqlite.connect(path, "rw") as copy:
        live.backup(copy)
        copy.execute("pragma journal_mode = delete")  # so that no -wal file is beside it
        if damage := sqlite.find_damage(copy):
            raise request_import(f"{paths.DATABASE}: {damage}")
        count = sqlite.count_paths(copy)
    disk.sync(path)
    return count


def _digest(path: str) -> str:
    with open(path, "rb", opener=files.private) as file:
        file.seek(_HEADER)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_info(copy: Copy) -> None:
    content = {
        "paths": copy.count,
        "time": copy.time,
        "source": copy.source,
        "sha256": copy.digest,
    }
    files.write(f"{copy.directory}/{INFO}", json.dumps(content))


def _rotate(new: Copy, copies: dict[str, Copy]) -> None:
    """Make ``new`` the newest copy; each step is a rename that keeps at least one whole copy."""
    leaving, fullest = copies.get(SECOND), copies.get(FULLEST)
    if leaving is not None and keeps_as_fullest(new.count, leaving.count, fullest):
        _move(FULLEST, _OLD)
        _move(SECOND, FULLEST)
    elif fullest is not None and fullest.count < MUCH * new.count:
        files.remove(f"{paths.COPIES}/{FULLEST}")
    if os.path.lexists(f"{paths.COPIES}/{SECOND}"):
        files.remove(f"{paths.COPIES}/{_OLD}")
        _move(SECOND, _OLD)
    _move(NEWEST, SECOND)
    _move(_NEW, NEWEST)
    disk.sync(paths.COPIES)
    files.remove(f"{paths.COPIES}/{_OLD}")


def keeps_as_fullest(new: int, leaving: int, fullest: Copy | None) -> bool:
    """Return whether the leaving copy is much fuller than the new one, and ``fullest`` is not."""
    much = leaving >= MUCH * new
    return much and (fullest is None or fullest.count < MUCH * leaving)


def _move(generation: str, to: str) -> None:
    if os.path.lexists(f"{paths.COPIES}/{generation}"):
        Path(paths.COPIES, generation).rename(f"{paths.COPIES}/{to}")
