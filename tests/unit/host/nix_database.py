"""Create a store and a database in schema 10, as Nix 2.34 does, but without Nix."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from nix_aurora_host import paths

from nix_aurora.store.nar import dump

# The output of `sqlite3 /nix/var/nix/db/db.sqlite .schema` with ca-derivations enabled.
SCHEMA = """
CREATE TABLE ValidPaths (
    id               integer primary key autoincrement not null,
    path             text unique not null,
    hash             text not null, -- base16 representation
    registrationTime integer not null,
    deriver          text,
    narSize          integer,
    ultimate         integer, -- null implies "false"
    sigs             text, -- space-separated
    ca               text
);
CREATE TABLE Refs (
    referrer  integer not null,
    reference integer not null,
    primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
);
CREATE INDEX IndexReferrer on Refs(referrer);
CREATE INDEX IndexReference on Refs(reference);
CREATE TRIGGER DeleteSelfRefs before delete on ValidPaths
  begin
    delete from Refs where referrer = old.id and reference = old.id;
  end;
CREATE TABLE DerivationOutputs (
    drv  integer not null,
    id   text not null, -- symbolic output id, usually "out"
    path text not null,
    primary key (drv, id),
    foreign key (drv) references ValidPaths(id) on delete cascade
);
CREATE INDEX IndexDerivationOutputs on DerivationOutputs(path);
CREATE TABLE SchemaMigrations (migration text primary key not null);
CREATE TABLE Realisations (
    id integer primary key autoincrement not null,
    drvPath text not null,
    outputName text not null, -- symbolic output id, usually "out"
    outputPath integer not null,
    signatures text, -- space-separated list
    foreign key (outputPath) references ValidPaths(id) on delete cascade
);
CREATE TRIGGER DeleteSelfRefsViaRealisations before delete on ValidPaths
  begin
    delete from RealisationsRefs where realisationReference in (
      select id from Realisations where outputPath = old.id
    );
  end;
CREATE TABLE RealisationsRefs (
    referrer integer not null,
    realisationReference integer,
    foreign key (referrer) references Realisations(id) on delete cascade,
    foreign key (realisationReference) references Realisations(id) on delete restrict
);
"""


def name(letter: str, word: str = "x") -> str:
    """Return a store path name whose hash part is one letter."""
    return f"{letter * 32}-{word}"


A, B, C, D = (name(letter) for letter in "abcd")


class Nix:
    """A host's /var/lib/nix in a test's directory."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.store = top / "store"
        self.state = top / "var/nix"
        self.database = self.state / "db/db.sqlite"
        self.own = top / ".nix-aurora"
        for directory in (self.store, self.state / "gcroots/auto", self.own, top / "run"):
            directory.mkdir(parents=True)

    def add(self, path_name: str, content: bytes | None = None) -> Path:
        """Add a directory with one file to the store."""
        path = self.store / path_name
        (path / "bin").mkdir(parents=True)
        (path / "bin/program").write_bytes(path_name.encode() if content is None else content)
        (path / "bin/program").chmod(0o555)
        (path / "link").symlink_to("bin/program")
        return path

    def make_database(
        self,
        names: Iterable[str],
        references: Iterable[tuple[str, str]] = (),
        *,
        at: Path | None = None,
    ) -> Path:
        """Create a database, Nix's own or another one, that knows the store paths."""
        path = at or self.database
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "schema").write_text("10")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma journal_mode = wal")
            connection.executescript(SCHEMA)
            for path_name in names:
                register(connection, self.store / path_name)
            for pair in references:
                refer(connection, *pair)
            connection.commit()
        return path

    def run(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Run a statement on Nix's own database."""
        with closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute(statement, values).fetchall()
            connection.commit()
        return rows

    def valid(self, database: Path | None = None) -> set[str]:
        """Return the names of the store paths in a database."""
        with closing(sqlite3.connect(database or self.database)) as connection:
            rows = connection.execute("select path from ValidPaths").fetchall()
            assert connection.execute("pragma foreign_key_check").fetchall() == []
        return {Path(path).name for (path,) in rows}

    def root(self, link: str, path_name: str) -> Path:
        """Create a link that keeps a store path."""
        path = self.state / "gcroots" / link
        path.symlink_to(f"/nix/store/{path_name}")
        return path


def register(connection: sqlite3.Connection, path: Path) -> None:
    """Register a path of the store, as Nix records it: with a signature and an assertion."""
    nar = b"".join(dump(path))
    connection.execute(
        "insert into ValidPaths"
        " (path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca)"
        " values (?, ?, 7, ?, ?, 1, 'key:signature', 'fixed:r')",
        (
            f"/nix/store/{path.name}",
            f"sha256:{hashlib.sha256(nar).hexdigest()}",
            f"/nix/store/{name('z', 'some.drv')}",
            len(nar),
        ),
    )


def refer(connection: sqlite3.Connection, referrer: str, reference: str) -> None:
    """Make one registered path refer to another."""
    connection.execute(
        "insert into Refs select a.id, b.id from ValidPaths a, ValidPaths b"
        " where a.path = ? and b.path = ?",
        (f"/nix/store/{referrer}", f"/nix/store/{reference}"),
    )


def make_nix(top: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    """Return an empty /var/lib/nix, and redirect the paths of the host's command to it."""
    nix = Nix(top)
    changed = {
        "HOME": top,
        "SHOWN": top,
        "STORE": nix.store,
        "STATE": nix.state,
        "DATABASE_DIRECTORY": nix.database.parent,
        "DATABASE": nix.database,
        "DATABASE_LOCK": nix.database.parent / "big-lock",
        "COLLECTOR_LOCK": nix.state / "gc.lock",
        "OWN": nix.own,
        "IMPORT_NEEDED": nix.own / "import-needed",
        "IMPORT_LOCK": nix.own / "lock",
        "COPIES": nix.own / "database",
        "DATABASE_LOST": nix.own / "database-lost",
        "RECOVERY": top / "run/recovery",
    }
    for attribute, value in changed.items():
        monkeypatch.setattr(paths, attribute, os.fspath(value))
    return nix
