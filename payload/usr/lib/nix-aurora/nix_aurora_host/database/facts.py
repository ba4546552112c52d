"""What status and doctor know about the database and its copies: data alone."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from nix_aurora_host import paths


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy: ``count`` store paths, made at ``time`` (seconds since the epoch).

    ``source`` tells what the files of Nix's database looked like then.
    """

    generation: str
    count: int
    time: int
    source: str
    digest: str

    @property
    def date(self) -> str:
        """When it was made, in local time."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.time))

    @property
    def directory(self) -> str:
        """Where it lies."""
        return f"{paths.COPIES}/{self.generation}"

    @property
    def database(self) -> str:
        """The SQLite file."""
        return f"{self.directory}/db.sqlite"


@dataclass(frozen=True, slots=True)
class Database:
    """Nix's database, as far as its loss goes; what only root may see is None for others.

    ``lost`` tells that an import made a new database and had no copy. ``recovery`` is the line of
    a check of the store's content that is under way. The others are doctor's alone: ``damage`` is
    what SQLite finds, ``misread`` a schema file that is no number; ``schema`` is the database's and
    ``reads`` what the packaged Nix reads, where that is less, with ``readable``, the newest copy
    that it reads; ``vouched`` are store paths that users keep, that the database does not know,
    and that a copy knows with the content that is on disk.
    """

    copies: tuple[Copy, ...] | None = ()
    lost: bool | None = False
    recovery: str | None = None
    damage: str | None = None
    misread: str | None = None
    schema: int | None = None
    reads: int | None = None
    readable: Copy | None = None
    vouched: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)  # roots of other unregistered paths

    @property
    def newer(self) -> bool:
        """Return whether the packaged Nix cannot read the database, for a newer one made it."""
        return self.schema is not None and self.reads is not None and self.schema > self.reads

    @property
    def opens(self) -> bool:
        """Return whether the packaged Nix can open the database, as far as is known."""
        return self.damage is None and self.misread is None and not self.newer
