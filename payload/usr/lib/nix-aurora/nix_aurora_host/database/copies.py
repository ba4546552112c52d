"""The copies of Nix's database: three generations, each in a directory that belongs to root.

``1`` is the newest and ``2`` the one before. ``fullest`` is the last one that had at least twice as
many store paths as its successor, so a database that was lost unnoticed and created anew cannot
replace it.
"""

import json
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.database import sqlite
from nix_aurora_host.database.schema import SCHEMAS, read_schema

NEWEST, SECOND, FULLEST = "1", "2", "fullest"
GENERATIONS = (NEWEST, SECOND, FULLEST)  # the newest first
MUCH = 2  # a copy is much fuller if it has this many times as many paths
INFO = "info"


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of ``count`` store paths, made at ``time`` (seconds since the epoch).

    ``source`` describes the files of Nix's database at that time.
    """

    generation: str
    count: int
    time: int
    source: str
    digest: str

    @property
    def date(self) -> str:
        """Return the time of the copy, in local time."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.time))

    @property
    def directory(self) -> str:
        """Return the directory of the copy."""
        return f"{paths.COPIES}/{self.generation}"

    @property
    def database(self) -> str:
        """Return the SQLite file."""
        return f"{self.directory}/db.sqlite"


def read_copies() -> list[Copy]:
    """Return the copies with a valid description, the newest first.

    Raise PermissionError for an ordinary user.
    """
    copies = [_read(generation) for generation in GENERATIONS]
    return [copy for copy in copies if copy is not None]


def _read(generation: str) -> Copy | None:
    try:
        text = Path(paths.COPIES, generation, INFO).read_text(encoding="utf-8")
        content = json.loads(text)
        return Copy(
            generation,
            int(content["paths"]),
            int(content["time"]),
            str(content["source"]),
            str(content["sha256"]),
        )
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        return None  # the copy is missing or damaged


def find_flaw(copy: Copy, reads: dict[str, int | None]) -> str | None:
    """Return why a copy cannot replace the database, or None if it can.

    ``reads`` has the numbers of the schemas that the packaged Nix writes, by file name.
    """
    for name in SCHEMAS:
        written = read_schema(copy.directory, name)
        if name == "schema" and written is None:
            return "it has no schema"
        known = reads.get(name)
        if written is not None and known is not None and written > known:
            return f"its {name} is {written}, and the packaged Nix reads up to {known}"
    try:
        with sqlite.connect(copy.database, "immutable") as connection:
            return sqlite.find_damage(connection)
    except sqlite3.Error as error:
        return str(error)
