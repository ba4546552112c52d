"""Test that a store is adopted only if root alone controls its content."""

import os
from pathlib import Path

import pytest
from nix_aurora_host.adopt import trusted
from nix_aurora_host.errors import CommandError

from tests.unit.host.adopt.stores import Stores


@pytest.fixture
def place(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of another Nix's store."""
    monkeypatch.setattr(trusted, "TOP", str(stores.top))
    (stores.theirs.top / "store").chmod(0o1775)
    os.chown(stores.theirs.top / "store", -1, 30000)
    return stores.theirs.top


def test_store_that_nix_created_is_trusted(place: Path) -> None:
    assert trusted.resolve(str(place)) == str(place)


def test_links_are_resolved_first(place: Path) -> None:
    link = place.with_name("link")
    link.symlink_to(place.name)
    assert trusted.resolve(str(link)) == str(place)


@pytest.mark.parametrize("part", ["", "var", "var/nix", "var/nix/db", "store"])
@pytest.mark.parametrize("how", ["owner", "others", "group"])
def test_part_that_another_user_may_change_is_refused(place: Path, part: str, how: str) -> None:
    target = place / part
    if how == "owner":
        os.chown(target, 1234, -1)
    elif how == "others":
        target.chmod(0o1777)
    else:
        os.chown(target, -1, 1234)
        target.chmod(0o775)
    with pytest.raises(CommandError, match="expected") as error:
        trusted.resolve(str(place))
    assert str(target) in error.value.message
    assert error.value.hint == f"ls -ld {target}"


@pytest.mark.parametrize("part", ["var", "var/nix", "var/nix/db", "store", "var/nix/db/db.sqlite"])
def test_link_in_place_of_a_part_is_refused(place: Path, part: str) -> None:
    target = place / part
    aside = place / "aside"
    target.rename(aside)
    target.symlink_to(aside)
    with pytest.raises(CommandError, match="cannot adopt a store"):
        trusted.resolve(str(place))


def test_database_of_another_owner_is_refused(place: Path) -> None:
    os.chown(place / "var/nix/db/db.sqlite", 1234, -1)
    with pytest.raises(CommandError, match="expected the owner 0, got 1234"):
        trusted.resolve(str(place))
