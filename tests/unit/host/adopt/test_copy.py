"""Test that store paths of another store are copied and compared with their records."""

import os
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.adopt import copy, look, snapshot
from nix_aurora_host.adopt.journal import place
from nix_aurora_host.database.rows import Row
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import clone

from nix_aurora.store.nar import nar_hash
from tests.unit.host.adopt.stores import Stores
from tests.unit.host.nix_database import A, B, C, D


def _rows(stores: Stores) -> list[Row]:
    database = snapshot.take(str(stores.theirs.database.parent), place("look"))
    return list(look.look(str(stores.theirs.top), database).rows)


def _copy(stores: Stores, *, linked: bool = True, check: bool = True) -> Path:
    target = stores.top / "target"
    target.mkdir()
    rows = _rows(stores)
    copy.copy_paths(str(stores.theirs.store), str(target), rows, linked=linked, check=check)
    return target


def _link_equal_files(stores: Stores) -> None:
    """Link equal files, like nix-store --optimise."""
    links = stores.theirs.store / ".links"
    links.mkdir()
    first = stores.theirs.store / A / "bin/program"
    os.link(first, links / "0abc")
    for path_name in (B, C):
        (stores.theirs.store / path_name / "bin/same").hardlink_to(first)


def test_every_path_is_copied_and_verified(stores: Stores) -> None:
    target = _copy(stores)
    assert {path.name for path in target.iterdir()} == {A, B, C, D}
    for path_name in (A, B, C, D):
        assert nar_hash(target / path_name) == nar_hash(stores.theirs.store / path_name)
    assert list(Path(place("part")).iterdir()) == []


@pytest.mark.parametrize("linked", [True, False])
def test_links_between_files_are_kept_if_requested(stores: Stores, linked: bool) -> None:
    _link_equal_files(stores)
    stores.theirs.database.unlink()
    stores.theirs.make_database([A, B, C, D])
    target = _copy(stores, linked=linked)
    numbers = {
        (target / path_name / "bin" / file).stat().st_ino
        for path_name, file in ((A, "program"), (B, "same"), (C, "same"))
    }
    assert len(numbers) == (1 if linked else 3)
    assert (target / ".links/0abc").exists() == linked
    if linked:
        assert (target / ".links/0abc").stat().st_nlink == 4


def test_file_with_too_many_links_is_copied(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    _link_equal_files(stores)
    stores.theirs.database.unlink()
    stores.theirs.make_database([A, B, C, D])
    link = os.link

    def few(old: str, new: str) -> None:
        if ".links" in old:
            raise OSError(31, "Too many links")
        link(old, new)

    monkeypatch.setattr(os, "link", few)
    target = _copy(stores)
    assert nar_hash(target / C) == nar_hash(stores.theirs.store / C)


@pytest.mark.parametrize("how", ["changed", "larger", "gone", "a pipe", "an owner"])
def test_path_that_differs_from_its_record_is_refused(stores: Stores, how: str) -> None:
    program = stores.theirs.store / B / "bin/program"
    rows = _rows(stores)
    if how == "changed":
        program.write_bytes(b"evil" + program.read_bytes()[4:])
    elif how == "larger":
        os.truncate(program, 1 << 40)
    elif how == "gone":
        (stores.theirs.store / B).rename(stores.top / "elsewhere")
    elif how == "a pipe":
        os.mkfifo(stores.theirs.store / B / "pipe")
    else:
        rows = [Row(row.id, row.name, None, row.size) if row.name == B else row for row in rows]
    (stores.top / "target").mkdir()
    with pytest.raises(CommandError, match="1 store paths differ") as error:
        copy.copy_paths(str(stores.theirs.store), str(stores.top / "target"), rows, linked=True)
    assert B in error.value.message
    assert error.value.message.endswith("nothing was changed")


def test_content_is_not_compared_without_a_check(stores: Stores) -> None:
    program = stores.theirs.store / B / "bin/program"
    program.write_bytes(b"evil" * 1000)
    target = _copy(stores, check=False)
    assert (target / B / "bin/program").read_bytes() == b"evil" * 1000


def test_space_is_checked_first(stores: Stores) -> None:
    copy.require_space(1, shared=False)
    copy.require_space(1 << 50, shared=False) if _free() > 1 << 50 else None
    with pytest.raises(CommandError, match="of free space, got") as error:
        copy.require_space(1 << 60, shared=False)
    assert paths.HOME in error.value.message
    with pytest.raises(CommandError, match="of free space, got"):
        copy.require_space(1 << 62, shared=True)


def _free() -> int:
    space = os.statvfs(paths.HOME)
    return space.f_bavail * space.f_frsize


@pytest.mark.parametrize("able", [True, False])
def test_sharing_is_detected_by_a_trial(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    asked = []

    def can_share(source: str, target: str) -> bool:
        asked.append((source, target))
        return able

    monkeypatch.setattr(clone, "can_share", can_share)
    assert copy.can_share(str(stores.theirs.store), [A, B]) == able
    assert [source for source, _ in asked] == [str(stores.theirs.store / A / "bin/program")]
    assert not copy.can_share(str(stores.theirs.store), [])
