"""The journal of a running takeover, for the time after a kill: its directories by inode number.

A rename keeps a directory's inode number, so the names show which steps were done.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum

from nix_aurora_host import disk, paths
from nix_aurora_host.database import files
from nix_aurora_host.errors import CommandError
from nix_aurora_host.text import printable

FORMER = "former"
"""A store and its state in the work directory: the other Nix's, and later this host's former."""

SOCKETS = "var/nix/daemon-socket"
"""The directory of the daemon's socket, below that of a store."""

_NAME = "journal"


class Way(StrEnum):
    """The way in which a store is taken over."""

    MOVE = "move"  # renamed, on the same file system
    COPY = "copy"  # copied completely, from another file system
    MERGE = "merge"  # only the missing paths are copied, since users have packages in both stores
    MOUNT = "mount"  # the store's own file system is mounted here from the next boot on


@dataclass(frozen=True, slots=True)
class Inodes:
    """The inode numbers of a store, its directory ``var``, its database and its socket."""

    store: int
    var: int
    db: int
    socket: int = 0  # 0 if there is none


@dataclass(frozen=True, slots=True)
class Journal:
    """A takeover: its source, its way, and the directories that are exchanged.

    ``closed`` is the directory that replaces a database so that no Nix opens one there. ``theirs``
    is None until a copy is complete.
    """

    way: Way
    source: str
    closed: int = 0
    ours: Inodes | None = None
    theirs: Inodes | None = None


def place(name: str) -> str:
    """Return the path of a name in the work directory."""
    return f"{paths.ADOPTION}/{name}"


def pending() -> str | None:
    """Return the directory of a takeover that has begun and not ended; None if there is none.

    Raise PermissionError for an ordinary user.
    """
    if not os.path.lexists(place(_NAME)):
        with suppress(FileNotFoundError):
            os.listdir(paths.OWN)  # users who may not list the directory cannot know
        return None
    journal = read()
    return journal.source if journal is not None else place(_NAME)


def read() -> Journal | None:
    """Return the journal; None if there is none. Raise CommandError if it is damaged."""
    try:
        with open(place(_NAME), encoding="utf-8", opener=files.private) as file:
            content = json.load(file)
        return Journal(
            Way(content["way"]),
            str(content["source"]),
            int(content["closed"]),
            _parse(content["ours"]),
            _parse(content["theirs"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise CommandError(
            f"cannot read the journal of the takeover: {place(_NAME)}: {printable(repr(error))}",
            f"sudo ls -lR {paths.ADOPTION}",
        ) from error


def _parse(content: dict[str, int] | None) -> Inodes | None:
    if content is None:
        return None
    return Inodes(*(int(content[name]) for name in ("store", "var", "db", "socket")))


def write(journal: Journal) -> None:
    """Write the journal, and sync it to the disk."""
    os.makedirs(paths.ADOPTION, mode=0o700, exist_ok=True)
    files.write(place(_NAME), json.dumps(asdict(journal)) + "\n")


def remove() -> None:
    """Remove the journal, since the takeover has ended."""
    with suppress(FileNotFoundError):
        os.unlink(place(_NAME))
    disk.sync(paths.ADOPTION)


def inode(path: str) -> int | None:
    """Return a name's inode number; None if the name does not exist."""
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


def inodes(top: str) -> Inodes:
    """Return the numbers of the store below ``top``; raise OSError if a part is missing."""
    store, var, database = (
        os.lstat(f"{top}/{part}").st_ino for part in ("store", "var", "var/nix/db")
    )
    return Inodes(store, var, database, inode(f"{top}/{SOCKETS}") or 0)
