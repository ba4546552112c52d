"""Test reading the store, its database and the default profile of a host from a directory."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.database.backup import backup
from nix_aurora_host.gather.closure import Closure
from nix_aurora_host.gather.damage import gather_damaged
from nix_aurora_host.gather.database import Database, gather_database, look_deeper
from nix_aurora_host.gather.profile import gather_profile
from nix_aurora_host.gather.store import AtNix, gather_store, query

from tests.unit.host.nix_database import A, B, C, D, Nix, make_nix

_CLOSURE = Closure(
    id="id",
    version="2.34.8",
    system="x86_64-linux",
    nix=f"/nix/store/{A}",
    cacert=f"/nix/store/{B}",
    paths=tuple(f"/nix/store/{name}" for name in (A, B, C)),
)


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    """Return a store whose database knows only A, with B and D on disk; a root keeps D."""
    nix = make_nix(tmp_path / "nix", monkeypatch)
    changed = {
        "BASE": nix.top,
        "ROOTS": nix.state / "gcroots/nix-aurora",
        "PROFILE": nix.state / "profiles/default",
        "STAMP": nix.own / "imported",
        "ASIDE": nix.own / "aside",
        "RUN": tmp_path / "run",
    }
    for attribute, value in changed.items():
        monkeypatch.setattr(paths, attribute, os.fspath(value))
    for name in (A, B, D):
        nix.add(name)
    nix.make_database([A])
    nix.root("mine", D)
    (tmp_path / "run").mkdir()
    (nix.state / "gcroots/nix-aurora").mkdir()
    (nix.state / "gcroots/nix-aurora/nix").symlink_to(_CLOSURE.nix)
    (nix.state / "profiles").mkdir()
    return nix


def test_store_is_compared_with_the_closure_and_the_roots(nix: Nix) -> None:
    (nix.own / "imported").write_text("id\n")
    (nix.own / "aside").mkdir()
    (nix.own / "aside" / B).touch()
    store = gather_store(_CLOSURE)
    assert store.missing == (f"/nix/store/{C}",)
    assert store.unregistered == (f"/nix/store/{B}",)
    assert store.lost == (f"/nix/store/{D}",)
    assert store.roots == {"nix": f"/nix/store/{A}"}
    assert (store.valid_paths, store.database, store.exists) == (1, True, True)
    assert (store.stamp, store.stamp_read, store.aside) == ("id", True, (B,))
    assert store.noexec == ()
    assert 0 < store.free <= store.size


@pytest.mark.parametrize(("free", "count"), [(12, 6_500_000), (0, 0)])  # btrfs has 0 of both
def test_inodes_of_the_stores_file_system_are_counted(
    nix: Nix, monkeypatch: pytest.MonkeyPatch, free: int, count: int
) -> None:
    real = os.statvfs

    def statvfs(path: str) -> os.statvfs_result:
        values = list(real(path))
        if path == paths.STORE:
            values[5:8] = count, free, free  # f_files, f_ffree, f_favail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", statvfs)
    store = gather_store(_CLOSURE)
    assert (store.inodes_free, store.inodes) == (free, count)


def test_missing_store_is_not_an_error(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORE", "DATABASE", "OWN"):
        monkeypatch.setattr(paths, name, str(nix.top / "none"))
    store = gather_store(_CLOSURE)
    assert (store.exists, store.database) == (False, False)
    assert (store.valid_paths, store.group) == (None, None)
    assert store.unregistered == ()


def test_file_that_is_not_a_database_has_no_rows(nix: Nix) -> None:
    nix.database.write_bytes(b"no database")
    assert query("select path from ValidPaths") is None


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        (AtNix.OURS, "mount"),
        (AtNix.OTHER_STORE, "none"),
        (AtNix.DIRECTORY, "none"),
        (AtNix.LINK, "none"),
        (AtNix.NOTHING, "namespace"),
    ],
)
def test_kinds_of_nix_directories_are_distinguished(
    kind: AtNix, layout: str, nix: Nix, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = nix.top if kind is AtNix.OURS else nix.top.parent / "shown"
    monkeypatch.setattr(paths, "AT", str(shown))
    if kind is AtNix.LINK:
        shown.symlink_to(nix.top)
    elif kind in {AtNix.DIRECTORY, AtNix.OTHER_STORE}:
        shown.mkdir()
    if kind is AtNix.OTHER_STORE:
        (shown / "store").touch()
    store = gather_store(_CLOSURE)
    assert (store.nix, store.layout) == (kind, layout)
    (Path(paths.RUN) / "layout").write_text("relocated\n")
    assert gather_store(_CLOSURE).layout == "relocated"


def test_profile_belongs_to_the_package_or_to_the_administrator(nix: Nix) -> None:
    for name in (A, D):
        (nix.store / name / "bin/nix").write_text("#!/bin/sh\necho 'nix (Nix) 2.30.1'\n")
        (nix.store / name / "bin/nix").chmod(0o755)
    absent = gather_profile(_CLOSURE, ask_version=True)
    assert (absent.exists, absent.nix, absent.owner, absent.version) == (False, None, "none", None)
    link = Path(paths.PROFILE)
    link.symlink_to(nix.store / A)
    assert gather_profile(_CLOSURE, ask_version=False).owner == "packaged"
    link.unlink()
    link.symlink_to(nix.store / D)
    (nix.store / D / "etc/profile.d").mkdir(parents=True)
    (nix.store / D / "etc/profile.d/nix-daemon.sh").touch()
    profile = gather_profile(_CLOSURE, ask_version=False)
    assert (profile.owner, profile.script, profile.exists) == ("administrator", True, True)


def test_registered_path_with_other_content_is_damaged(nix: Nix) -> None:
    assert gather_damaged(_CLOSURE) == ()
    program = nix.store / A / "bin/program"
    program.chmod(0o755)
    program.write_bytes(b"something else")
    program.chmod(0o555)
    assert gather_damaged(_CLOSURE) == (f"/nix/store/{A}",)


def test_database_and_its_copies_are_described(nix: Nix) -> None:
    assert gather_database() == Database(copies=(), lost=False, recovery=None)
    backup()
    (nix.own / "database-lost").touch()
    Path(paths.RECOVERY).write_text("checked 1 of 2\n")
    database = gather_database()
    assert [copy.count for copy in database.copies or ()] == [1]
    assert (database.lost, database.recovery) == (True, "checked 1 of 2")


def test_lost_path_is_confirmed_by_a_copy_with_its_content(
    nix: Nix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    nix.make_database([A, D], at=nix.top / "other/db.sqlite")
    kept = nix.database.read_bytes()
    nix.database.write_bytes((nix.top / "other/db.sqlite").read_bytes())
    backup()
    nix.database.write_bytes(kept)
    store = gather_store(_CLOSURE)
    looked = look_deeper(gather_database(), store, _CLOSURE.nix)
    assert (looked.vouched, looked.unknown, looked.damage) == ((D,), {}, None)
    (nix.store / D / "bin/program").chmod(0o755)
    (nix.store / D / "bin/program").write_bytes(b"of somebody else")
    looked = look_deeper(gather_database(), store, _CLOSURE.nix)
    assert looked.vouched == ()
    assert set(looked.unknown.values()) == {D}


def test_doctor_does_not_open_a_missing_database(nix: Nix) -> None:
    store = replace(gather_store(_CLOSURE), database=False)
    assert look_deeper(Database(), store, _CLOSURE.nix) == Database()
