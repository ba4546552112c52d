"""What a takeover under way has to know after a kill: which directories it moves, by inode number.

The number of a directory stays the same when it is renamed, so the names tell how far it came.
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
"""In the work directory, a store and its state: the other Nix's, and then what this host had."""

SOCKETS = "var/nix/daemon-socket"
"""Where the daemon's socket lies, below the directory of a store."""

_NAME = "journal"


class Way(StrEnum):
    """How a store is taken over."""

    MOVE = "move"  # renamed, on one file system
    COPY = "copy"  # whole, from another file system
    MERGE = "merge"  # what this store lacks is copied, for users have packages in both
    MOUNT = "mount"  # a file system of its own is mounted here from the next boot on


@dataclass(frozen=True, slots=True)
class Inodes:
    """The inode numbers of a store, of its directory ``var``, its database's and its socket's."""

    store: int
    var: int
    db: int
    socket: int = 0  # where there is none


@dataclass(frozen=True, slots=True)
class Journal:
    """A takeover: from where, how, and what gets exchanged.

    ``closed`` is the directory that takes a database's place so that no Nix opens that one.
    ``theirs`` is None as long as a copy is made.
    """

    way: Way
    source: str
    closed: int = 0
    ours: Inodes | None = None
    theirs: Inodes | None = None


def place(name: str) -> str:
    """Return where something lies in the work directory."""
    return f"{paths.ADOPTION}/{name}"


def pending() -> str | None:
    """Return the directory whose takeover was begun and has not ended; None where there is none.

    Raise PermissionError for an ordinary user.
    """
    if not os.path.lexists(place(_NAME)):
        with suppress(FileNotFoundError):
            os.listdir(paths.OWN)  # whoever may not look does not know
        return None
    journal = read()
    return journal.source if journal is not None else place(_NAME)


def read() -> Journal | None:
    """Return the journal; None where there is none. Raise CommandError where it is damaged."""
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
            f"cannot read {place(_NAME)}: {printable(repr(error))}",
            f"ls -lR {paths.ADOPTION}",
        ) from error


def _parse(content: dict[str, int] | None) -> Inodes | None:
    if content is None:
        return None
    return Inodes(*(int(content[name]) for name in ("store", "var", "db", "socket")))


def write(journal: Journal) -> None:
    """Write the journal; it is on the disk when this returns."""
    os.makedirs(paths.ADOPTION, mode=0o700, exist_ok=True)
    files.write(place(_NAME), json.dumps(asdict(journal)) + "\n")


def remove() -> None:
    """Remove the journal: the takeover has ended."""
    with suppress(FileNotFoundError):
        os.unlink(place(_NAME))
    disk.sync(paths.ADOPTION)


def inode(path: str) -> int | None:
    """Return a name's inode number; None where there is no such name."""
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


def inodes(top: str) -> Inodes:
    """Return the numbers of the store below ``top``; raise OSError where a part is missing."""
    store, var, database = (
        os.lstat(f"{top}/{part}").st_ino for part in ("store", "var", "var/nix/db")
    )
    return Inodes(store, var, database, inode(f"{top}/{SOCKETS}") or 0)
