"""Test the schema file beside the database: a number that Nix cannot read is corrected."""

import shlex
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from nix_aurora_host.database import newer, programs
from nix_aurora_host.database.backup import backup
from nix_aurora_host.database.copies import read_copies
from nix_aurora_host.database.schema import find_fault, make_empty, read_schema
from nix_aurora_host.errors import CommandError

from tests.unit.host.nix_database import SCHEMA, A, B, Nix, make_nix

_CORRUPT = [b"", b"x", b"99999999999", b"2147483648", b"\xff\xfe", b"10\n", b" 10", b"-1", b"7"]
# The effect of nix-store, which creates an empty database.
_INIT = """
import os, sqlite3, sys
from pathlib import Path
assert sys.argv[1] == "--init"
place = Path(os.environ["NIX_STATE_DIR"], "db")
place.mkdir()
connection = sqlite3.connect(place / "db.sqlite")
connection.executescript({tables!r})
(place / "schema").write_text({schema!r})
"""


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    """Return a store of two paths, with its database."""
    nix = make_nix(tmp_path / "nix", monkeypatch)
    for path_name in (A, B):
        nix.add(path_name)
    nix.make_database([A, B], [(B, A)])
    return nix


def _nix_store(nix: Nix, schema: str = "10") -> list[str]:
    script = nix.top / "nix-store.py"
    script.write_text(_INIT.format(tables=SCHEMA, schema=schema))
    return [sys.executable, str(script)]


def _mend(nix: Nix, schema: str = "10") -> bool:
    fresh = nix.top / "fresh"
    fresh.mkdir(exist_ok=True)
    return programs.mend(lambda: make_empty(_nix_store(nix, schema), str(fresh)))


def _file(nix: Nix) -> Path:
    return nix.database.parent / "schema"


@pytest.mark.parametrize("content", _CORRUPT)
@pytest.mark.parametrize("copied", [True, False])
def test_file_without_a_number_is_corrected(
    nix: Nix, content: bytes, copied: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """The database stays unchanged, to the last byte."""
    if copied:
        backup()
    before = nix.database.read_bytes()
    _file(nix).write_bytes(content)
    assert str(_file(nix)) in (find_fault() or "")
    assert _mend(nix, "" if copied else "10")
    assert _file(nix).read_bytes() == b"10"
    assert _file(nix).stat().st_mode & 0o777 == 0o644
    said = capfd.readouterr().out
    assert said.startswith(f"nix-aurora: corrected {_file(nix)}: expected ")
    assert said.endswith("; it now has 10\n")
    assert said.count("\n") == 1
    assert find_fault() is None
    assert nix.database.read_bytes() == before


def test_directory_in_place_of_the_file_is_corrected(nix: Nix) -> None:
    _file(nix).unlink()
    _file(nix).mkdir()
    assert "cannot be read" in (find_fault() or "")
    assert _mend(nix)
    assert _file(nix).read_bytes() == b"10"


def test_unknown_tables_are_replaced_by_a_copy(nix: Nix, capfd: pytest.CaptureFixture[str]) -> None:
    """Only the Nix that created the tables knows the right number."""
    nix.run("alter table ValidPaths add column newer text")
    _file(nix).write_bytes(b"x")
    assert not _mend(nix)
    assert "expected a number, got 'x'" in capfd.readouterr().err
    assert _file(nix).read_bytes() == b"x"


def test_number_is_taken_from_a_copy_with_the_same_tables(nix: Nix) -> None:
    """This also applies if the packaged Nix reads only an older schema."""
    backup()
    nix.run("alter table ValidPaths add column newer text")
    _file(nix).write_text("11")
    backup()
    _file(nix).write_bytes(b"")
    assert _mend(nix)
    assert _file(nix).read_bytes() == b"11"


def test_schema_of_realisations_is_left_to_nix(nix: Nix) -> None:
    other = nix.database.parent / "ca-schema"
    other.write_bytes(b"?")
    assert str(other) in (find_fault() or "")
    assert _mend(nix)
    assert not other.exists()
    assert _file(nix).read_bytes() == b"10"


@pytest.mark.parametrize("content", [b"10", b"11", b"0", None])
def test_readable_file_is_not_changed(nix: Nix, content: bytes | None) -> None:
    """If the file is missing or contains 0, Nix itself writes the number."""
    if content is None:
        _file(nix).unlink()
    else:
        _file(nix).write_bytes(content)
    assert find_fault() is None
    assert programs.mend(lambda: "/nowhere")
    assert read_schema(str(nix.database.parent), "schema") == (
        int(content) if content is not None else None
    )


def test_old_number_fits_old_tables(nix: Nix) -> None:
    """Nix itself migrates the old tables."""
    shutil.rmtree(nix.database.parent)
    nix.database.parent.mkdir()
    with closing(sqlite3.connect(nix.database)) as connection:
        connection.execute("create table ValidPaths (id, path, hash, narSize)")
    _file(nix).write_bytes(b"9")
    assert find_fault() is None


@pytest.mark.parametrize("content", _CORRUPT)
def test_timer_requests_an_import(nix: Nix, content: bytes) -> None:
    """The timer does so even for an unchanged database, and no copy contains such a file."""
    backup()
    _file(nix).write_bytes(content)
    with pytest.raises(CommandError, match=r"cannot copy the database: .*/schema: expected "):
        backup()
    assert (nix.own / "import-needed").exists()
    assert [read_schema(copy.directory, "schema") for copy in read_copies()] == [10]


# --- a newer Nix's database


@pytest.fixture
def older_nix(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> Nix:
    """Return the store with a packaged Nix that reads schema 10, and a database of schema 11."""
    backup()
    _file(nix).write_text("11")
    script = nix.top / "nix-store"
    python, program = _nix_store(nix)
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(python)} {shlex.quote(program)} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(newer, "_nix_store", lambda _find_nix: [str(script)])
    return nix


def test_newer_database_and_the_usable_copy_are_found(older_nix: Nix) -> None:
    found = newer.find_newer(lambda: "/nix/store/unused")
    assert found == newer.Newer(11, 10)
    copy = newer.find_copy(found)
    assert copy is not None
    assert copy.count == 2
    older_nix.run("delete from Refs")
    backup()  # a copy of the newer database
    assert newer.find_copy(found) == next(copy for copy in read_copies() if copy.generation == "2")


def test_newer_database_is_replaced_once_and_only_for_root(older_nix: Nix) -> None:
    assert not programs.is_damaged()
    (older_nix.own / "import-needed").touch()
    assert not programs.is_damaged()
    newer.request_replacement(newer.Newer(11, 10))
    assert programs.is_damaged()
    # the file of the copy is in place: the import was killed at that point
    _file(older_nix).write_text("10")
    assert not programs.is_damaged()
