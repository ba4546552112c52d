"""Test when a copy of Nix's database is made, and which copies are kept."""

import json
import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.database import backup as module
from nix_aurora_host.database import files
from nix_aurora_host.database.backup import backup, keeps_as_fullest
from nix_aurora_host.database.copies import Copy, find_flaw, read_copies
from nix_aurora_host.database.programs import backup_database
from nix_aurora_host.errors import CommandError
from nix_aurora_host.system import names

from tests.unit.host.nix_database import A, B, C, Nix, make_nix, name, register


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    """Return a store of three paths, with its database."""
    nix = make_nix(tmp_path / "nix", monkeypatch)
    for path_name in (A, B, C):
        nix.add(path_name)
    nix.make_database([A, B, C], [(B, A), (C, C)])
    return nix


def _counts() -> dict[str, int]:
    return {copy.generation: copy.count for copy in read_copies()}


def _resize(nix: Nix, count: int) -> None:
    """Make the database contain this number of paths."""
    nix.run("delete from Refs")
    nix.run("delete from ValidPaths")
    nix.run(
        "insert into ValidPaths (path, hash, registrationTime, narSize) "
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?) "
        "select '/nix/store/' || i, 'x', 1, 1 from n",
        count,
    )


def test_copy_is_complete_and_only_for_root(nix: Nix) -> None:
    assert backup() == "copied the database: 3 store paths"
    (copy,) = read_copies()
    assert find_flaw(copy, {"schema": 10}) is None
    assert nix.valid(Path(copy.database)) == {A, B, C}
    assert sorted(names(copy.directory) or ()) == ["db.sqlite", "info", "schema"]
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in [Path(paths.COPIES), *Path(paths.COPIES).rglob("*")]
    }
    assert modes == dict.fromkeys(["database", "1"], 0o700) | dict.fromkeys(
        ["db.sqlite", "info", "schema"], 0o600
    )


def test_write_ahead_log_is_included_in_the_copy(nix: Nix) -> None:
    nix.add(name("d"))
    writer = sqlite3.connect(nix.database)
    register(writer, nix.store / name("d"))
    writer.commit()
    assert Path(f"{nix.database}-wal").stat().st_size > 0
    backup()
    writer.close()
    assert _counts() == {"1": 4}


def test_unchanged_database_is_not_copied(nix: Nix) -> None:
    backup()
    before = {path: path.stat().st_mtime_ns for path in Path(paths.COPIES).rglob("*")}
    assert backup() == "not copied: the database has not changed"
    assert {path: path.stat().st_mtime_ns for path in Path(paths.COPIES).rglob("*")} == before
    os.utime(nix.database)  # Nix has opened the database, and closed it again
    assert backup() == "not copied: the database's content has not changed"
    assert _counts() == {"1": 3}
    assert backup() == "not copied: the database has not changed"


def test_older_copies_move_to_the_next_generation(nix: Nix) -> None:
    for count in (3, 4, 5, 6):
        _resize(nix, count)
        backup()
    assert _counts() == {"1": 6, "2": 5}


def test_much_fuller_copy_is_never_dropped(nix: Nix) -> None:
    """Nix may have created a new database after a loss that nobody noticed."""
    _resize(nix, 100)
    backup()
    for count in (5, 6, 7, 2, 1):
        _resize(nix, count)
        backup()
    assert _counts() == {"1": 1, "2": 2, "fullest": 100}
    for count in (60, 61, 62):  # "fullest" is no longer much fuller
        _resize(nix, count)
        backup()
    assert _counts() == {"1": 62, "2": 61}


@pytest.mark.parametrize(
    ("new", "leaving", "fullest", "kept"),
    [(5, 10, None, True), (6, 10, None, False), (2, 5, 100, False), (2, 60, 100, True)],
)
def test_fullest_copy_is_kept(new: int, leaving: int, fullest: int | None, kept: bool) -> None:
    former = None if fullest is None else Copy("fullest", fullest, 0, "", "")
    assert keeps_as_fullest(new, leaving, former) is kept


def test_nothing_is_copied_while_a_loss_is_unresolved(nix: Nix) -> None:
    backup()
    (nix.own / "database-lost").touch()
    _resize(nix, 1)
    assert backup().startswith("not copied: this database was made after another one was lost")
    assert _counts() == {"1": 3}


def test_missing_database_is_not_copied(nix: Nix) -> None:
    nix.database.unlink()
    assert backup() == "not copied: there is no database yet"
    assert not Path(paths.COPIES).exists()


def test_nothing_is_copied_while_space_is_short(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
    backup()
    _resize(nix, 4)
    monkeypatch.setattr(module, "_SPARE", 1 << 60)
    assert "MiB of free space" in backup()
    assert _counts() == {"1": 3}


@pytest.mark.parametrize("damage", ["page", "header", "truncated", "empty", "no tables"])
def test_broken_database_is_not_copied_and_requests_an_import(nix: Nix, damage: str) -> None:
    backup()
    _break(nix.database, damage)
    with pytest.raises(CommandError, match=r"cannot copy the database: .*db\.sqlite: "):
        backup()
    assert (nix.own / "import-needed").exists()
    assert _counts() == {"1": 3}
    (copy,) = read_copies()
    assert find_flaw(copy, {}) is None


def _break(path: Path, damage: str) -> None:
    size = path.stat().st_size
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "no tables":
        path.unlink()
        path.write_bytes(b"")
    elif damage == "truncated":
        os.truncate(path, size // 2)
    else:
        with path.open("r+b") as file:
            file.seek(0 if damage == "header" else 4096)
            file.write(b"\xa5" * 4096)


def test_other_failure_is_not_damage(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lack of descriptors, memory or rights does not prove that the database is broken."""

    def fail(*_: object) -> int:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    monkeypatch.setattr(module, "_copy_database", fail)
    with pytest.raises(CommandError, match="unable to open"):
        backup()
    assert not (nix.own / "import-needed").exists()


@pytest.mark.parametrize("step", range(12))
def test_complete_copy_survives_a_kill_at_any_rename(
    nix: Nix, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The next run finishes what the killed one began."""
    for count in (40, 41, 5):
        _resize(nix, count)
        backup()
    _resize(nix, 6)

    class Killed(BaseException):
        pass

    calls = iter(range(100))

    def dying(former: object) -> object:
        def act(*arguments: object, **options: object) -> object:
            if next(calls) == step:
                raise Killed
            assert callable(former)
            return former(*arguments, **options)

        return act

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying(Path.rename))
        patch.setattr(files, "remove", dying(files.remove))
        patch.setattr(Path, "replace", dying(Path.replace))
        with suppress(Killed):
            backup()
    left = _counts()
    assert max(left.values()) == 41
    assert all(find_flaw(copy, {}) is None for copy in read_copies())
    _resize(nix, 7)
    backup()
    assert _counts()["1"] == 7
    assert max(_counts().values()) == 41
    assert not {"new", "old"} & set(names(paths.COPIES) or ())


def test_damaged_description_is_not_a_copy(nix: Nix) -> None:
    backup()
    info = Path(paths.COPIES, "1/info")
    for text in ("", "[]", "{}", json.dumps({"paths": "many"})):
        info.write_text(text)
        assert read_copies() == []
    _resize(nix, 4)
    backup()
    assert _counts()["1"] == 4


def test_service_reports_its_result_or_its_failure(
    nix: Nix, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backup_database() == 0
    assert capsys.readouterr().out == "nix-aurora: copied the database: 3 store paths\n"

    def refuse() -> str:
        raise CommandError("cannot copy the database: it is damaged", "sudo nix-aurora doctor")

    monkeypatch.setattr(module, "backup", refuse)
    assert backup_database() == 1
    assert capsys.readouterr().err == (
        "nix-aurora: cannot copy the database: it is damaged\nhint: sudo nix-aurora doctor\n"
    )

    def fail() -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "backup", fail)
    assert backup_database() == 1
    assert f"{nix.own}/database: [Errno 28] No space left" in capsys.readouterr().err
