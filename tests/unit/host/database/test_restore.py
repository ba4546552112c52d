"""Test when a lost database is restored from a copy."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.database import programs, sqlite
from nix_aurora_host.database.backup import backup
from nix_aurora_host.database.restore import restore
from nix_aurora_host.system import names

from nix_aurora.store.nar import nar_hash
from tests.unit.host.nix_database import A, B, C, D, Nix, make_nix, name

PACKAGED = name("p", "nix-2.34")


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    """Return a store with a copy of its lost database; C refers to B, and B to A and D."""
    nix = make_nix(tmp_path / "nix", monkeypatch)
    for path_name in (A, B, C, D, PACKAGED):
        nix.add(path_name)
    nix.make_database([A, B, C, D, PACKAGED], [(C, B), (B, A), (B, B), (B, D), (C, PACKAGED)])
    nix.run(
        "insert into Realisations (drvPath, outputName, outputPath, signatures)"
        " select 'sha256:drv!' || id, 'out', id, 'key:realised' from ValidPaths"
    )
    nix.run("insert into RealisationsRefs values (3, 2)")
    nix.run("insert into DerivationOutputs values (1, 'out', '/nix/store/elsewhere')")
    backup()
    shutil.rmtree(nix.database.parent)
    return nix


def _fresh(nix: Nix, schema: str = "10") -> Path:
    """Create the database that the packaged Nix creates for the paths of the package."""
    database = nix.make_database([PACKAGED], at=nix.top / "work/db/db.sqlite")
    (database.parent / "schema").write_text(schema)
    return database


def _restored(nix: Nix) -> set[str]:
    fresh = _fresh(nix)
    assert restore(str(fresh.parent))
    assert names(str(fresh.parent)) == ("db.sqlite", "schema")
    assert (fresh.parent / "schema").read_text() == "10"  # Nix accepts no newline
    assert not Path(paths.RECOVERY).exists()
    with sqlite.connect(str(fresh)) as connection:
        assert sqlite.find_damage(connection) is None
    return nix.valid(fresh)


def test_everything_is_restored_unchanged(nix: Nix) -> None:
    copy = Path(paths.COPIES, "1/db.sqlite")
    before = _dump(copy)
    assert _restored(nix) == {A, B, C, D, PACKAGED}
    after = _dump(nix.top / "work/db/db.sqlite")
    assert after == before
    assert any("key:signature" in str(row) for row in after["ValidPaths"])
    assert len(after["Realisations"]) == 5


def _dump(database: Path) -> dict[str, list[tuple[object, ...]]]:
    tables = ("ValidPaths", "Refs", "DerivationOutputs", "Realisations", "RealisationsRefs")
    with closing(sqlite3.connect(database)) as connection:
        return {
            table: connection.execute(f"select * from {table}").fetchall()  # noqa: S608
            for table in tables
        }


@pytest.mark.parametrize("how", ["changed", "gone", "a link", "an owner"])
def test_path_that_differs_on_disk_is_dropped_with_its_referrers(nix: Nix, how: str) -> None:
    """An attacker, for example, may have written other content to a valid path."""
    program = nix.store / A / "bin/program"
    if how == "changed":
        program.write_bytes(b"evil" + program.read_bytes()[4:])
    elif how == "an owner":
        os.chown(program, 30001, 0)
    else:
        shutil.rmtree(nix.store / A)
        if how == "a link":
            (nix.store / A).symlink_to(nix.store / B)
    assert _restored(nix) == {D, PACKAGED}
    with closing(sqlite3.connect(nix.top / "work/db/db.sqlite")) as connection:
        assert connection.execute("select count(*) from Realisations").fetchone() == (2,)
        assert connection.execute("select count(*) from DerivationOutputs").fetchone() == (0,)


def test_packaged_paths_are_registered_as_packaged(nix: Nix) -> None:
    """The import creates these paths, so their current content does not matter."""
    shutil.rmtree(nix.store / PACKAGED)
    nix.add(PACKAGED, b"a newer build of the same path")
    assert _restored(nix) == {A, B, C, D, PACKAGED}
    with closing(sqlite3.connect(nix.top / "work/db/db.sqlite")) as connection:
        row = connection.execute(
            "select hash, narSize, sigs from ValidPaths where path = ?", (f"/nix/store/{PACKAGED}",)
        ).fetchone()
    wanted = nar_hash(nix.store / PACKAGED)
    assert row == (f"sha256:{wanted.sha256.hex()}", wanted.size, None)


def test_packaged_path_that_the_copy_lacks_is_registered(nix: Nix) -> None:
    newer = name("q", "nix-2.35")
    nix.add(newer)
    fresh = nix.make_database(
        [PACKAGED, newer], [(newer, PACKAGED)], at=nix.top / "work/db/db.sqlite"
    )
    assert restore(str(fresh.parent))
    assert nix.valid(fresh) == {A, B, C, D, PACKAGED, newer}


def test_restored_database_allows_copies_again(nix: Nix) -> None:
    Path(paths.DATABASE_LOST).touch()
    _restored(nix)
    assert not Path(paths.DATABASE_LOST).exists()


@pytest.mark.parametrize("state", ["deleted", "truncated", "newer", "a page", "no schema"])
def test_unusable_copy_is_skipped_for_the_next(
    nix: Nix, state: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The second copy is a month old, and lacks C."""
    newest, second = Path(paths.COPIES, "1"), Path(paths.COPIES, "2")
    shutil.copytree(newest, second)
    with closing(sqlite3.connect(second / "db.sqlite")) as connection:
        connection.execute("pragma foreign_keys = on")
        connection.execute("delete from Refs where referrer = 3")
        connection.execute("delete from ValidPaths where id = 3")
        connection.commit()
    database = newest / "db.sqlite"
    if state == "deleted":
        database.unlink()
    elif state == "truncated":
        os.truncate(database, database.stat().st_size // 2)
    elif state == "newer":
        (newest / "schema").write_text("11")
    elif state == "no schema":
        (newest / "schema").unlink()
    else:
        with database.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * 4096)
    assert _restored(nix) == {A, B, D, PACKAGED}
    assert f"{newest}: this copy cannot be used: " in capfd.readouterr().err


@pytest.mark.parametrize("others", [True, False])
def test_loss_without_a_copy_is_marked_and_reported(
    nix: Nix, others: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """The marker is written only if the store has other paths: a first import loses nothing."""
    shutil.rmtree(paths.COPIES)
    if not others:
        for path_name in (A, B, C, D):
            shutil.rmtree(nix.store / path_name)
    (nix.store / ".links").mkdir()
    fresh = _fresh(nix)
    assert not restore(str(fresh.parent))
    assert nix.valid(fresh) == {PACKAGED}
    assert Path(paths.DATABASE_LOST).exists() == others
    said = capfd.readouterr().err
    assert ("does not know 4 other store paths" in said) == others
    assert ("hint: sudo nix-aurora recover\n" in said) == others


def test_everybody_can_read_the_progress(
    nix: Nix, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from nix_aurora_host.database import progress  # noqa: PLC0415

    monkeypatch.setattr(progress, "_LINE", 0)
    monkeypatch.setattr(progress, "_FILE", 0)
    seen = []
    write = progress.Progress._write

    def spy(self: progress.Progress) -> None:
        write(self)
        seen.append(Path(paths.RECOVERY).read_text())
        assert Path(paths.RECOVERY).stat().st_mode & 0o777 == 0o644

    monkeypatch.setattr(progress.Progress, "_write", spy)
    _restored(nix)
    assert seen[-1] == "checking the content of the store: 0.0 GiB of 0.0 GiB\n"
    assert "nix-aurora: checking the content of the store: 0.0 GiB" in capfd.readouterr().err


# --- detection of damage


@pytest.mark.parametrize(
    ("damage", "damaged"),
    [
        ("none", False),
        ("empty", True),
        ("header", True),
        ("page", True),
        ("truncated", True),
        ("newer schema", False),
    ],
)
def test_only_damage_that_sqlite_reports_is_damage(
    nix: Nix, damage: str, damaged: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    nix.make_database([A, B], [(B, A)])
    size = nix.database.stat().st_size
    if damage in {"empty", "truncated"}:
        os.truncate(nix.database, 0 if damage == "empty" else size // 2)
    elif damage == "newer schema":
        (nix.database.parent / "schema").write_text("11")
    elif damage != "none":
        with nix.database.open("r+b") as file:
            file.seek(0 if damage == "header" else 4096)
            file.write(b"\xa5" * 4096)
    assert programs.is_damaged() == damaged
    assert (f"{paths.DATABASE} is damaged: " in capfd.readouterr().err) == damaged


def test_missing_resources_are_not_damage(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
    nix.make_database([A])
    for code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL):
        error = sqlite3.OperationalError("no luck")
        error.sqlite_errorcode = code

        def fail(_: object, error: sqlite3.Error = error) -> None:
            raise error

        monkeypatch.setattr(sqlite, "find_damage", fail)
        with pytest.raises(sqlite3.Error, match="no luck"):
            programs.is_damaged()
