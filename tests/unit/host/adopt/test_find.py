"""Test the search for another Nix's store."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.adopt import find
from nix_aurora_host.errors import CommandError
from nix_aurora_host.former.tree import Tree
from nix_aurora_host.importer import syscalls
from nix_aurora_host.system import Outcome

from tests.unit.host.adopt.stores import Stores


class Places:
    """The searched places, in a test's directory; nothing is mounted."""

    def __init__(self, stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = stores.top
        self.theirs = stores.theirs.top
        self.usual = (str(self.top / "home/nix"), str(self.top / "var-nix"))
        self.mounted: list[list[str]] = []
        self.shown: Callable[[list[str]], int] = lambda _: 1
        changed = {
            "NIX": self.top / "nix",
            "USUAL": self.usual,
            "LOOK": self.top / "look",
        }
        for name, value in changed.items():
            monkeypatch.setattr(find, name, value if name == "USUAL" else str(value))
        monkeypatch.setattr(find, "TREE", Tree(str(self.top)))
        self.fstab = self.top / "etc/fstab"
        self.unit = self.top / "etc/systemd/system/nix.mount"
        self.unit.parent.mkdir(parents=True)
        monkeypatch.setattr(find, "run", self._run)
        monkeypatch.setattr(syscalls, "enter_mount_namespace", lambda: None)

    def _run(self, words: list[str]) -> Outcome:
        self.mounted.append(words)
        return Outcome(self.shown(words), "", "")

    def put(self, *parts: str) -> Path:
        """Move the other store to a place."""
        target = self.top.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        return self.theirs.rename(target)


@pytest.fixture
def places(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Return the places, none of which has a store."""
    return Places(stores, monkeypatch)


def test_searched_places_are_named_if_none_has_a_store(places: Places) -> None:
    with pytest.raises(CommandError, match="cannot find another Nix's store") as error:
        find.choose(None)
    for place in (find.NIX, *places.usual, "nix.mount", "/etc/fstab"):
        assert place in error.value.message


@pytest.mark.parametrize("place", ["nix", "home/nix", "var-nix"])
def test_store_in_a_usual_place_is_found(places: Places, place: str) -> None:
    target = places.put(place)
    assert find.choose(None) == find.Candidate(str(target), str(target))


@pytest.mark.parametrize("where", ["fstab", "nix.mount"])
def test_source_of_nix_is_found(places: Places, where: str) -> None:
    target = places.put("elsewhere")
    if where == "fstab":
        places.fstab.write_text(f"{target} /nix none bind 0 0\n")
    else:
        places.unit.write_text(f"[Mount]\nWhat={target}\nWhere=/nix\n")
    assert find.choose(None).path == str(target)


def test_store_with_two_names_is_found_once(places: Places) -> None:
    target = places.put("home/nix")
    places.unit.write_text(f"[Mount]\nWhat={target}\nWhere=/nix\n")
    assert [candidate.path for candidate in find.find()] == [str(target)]


def test_own_store_is_not_found(places: Places) -> None:
    (places.top / "nix").symlink_to(paths.HOME)
    assert list(find.find()) == []
    with pytest.raises(CommandError, match="got nix-aurora's own store"):
        find.choose(paths.HOME)
    with pytest.raises(CommandError, match="got another directory"):
        find.choose(str(places.top))


def test_named_directory_is_used(places: Places) -> None:
    places.put("home/nix")
    (places.top / "link").symlink_to("home/nix")
    found = find.choose(str(places.top / "link"))
    assert found == find.Candidate(str(places.top / "home/nix"), str(places.top / "home/nix"))


@pytest.mark.parametrize("named", [None, "UUID=1"])
def test_unmounted_file_system_is_mounted_read_only(places: Places, named: str | None) -> None:
    target = places.put("disk")
    places.fstab.write_text("UUID=1 /nix btrfs subvol=nix,noatime,nofail 0 0\n")

    def show(words: list[str]) -> int:
        os.rmdir(words[-1])  # noqa: PTH106
        Path(words[-1]).symlink_to(target)
        return 0

    places.shown = show
    found = find.choose(named)
    assert found.name == "UUID=1"
    assert found.line is not None
    assert not found.lasting
    (words,) = places.mounted
    assert words[:-1] == ["mount", "-t", "btrfs", "-o", "ro,subvol=nix", "UUID=1"]


@pytest.mark.parametrize("kind", ["a bind", "a subvolume", "a unit"])
def test_store_is_found_after_its_mount_was_set_aside(places: Places, kind: str) -> None:
    """A bound directory is used directly, and a subvolume is mounted privately."""
    there = places.put("elsewhere")
    former = places.top / "etc/nix-aurora.former/etc"
    (former / "systemd/system").mkdir(parents=True)
    if kind == "a unit":
        text = f"[Mount]\nWhat={there}\nWhere=/nix\nOptions=bind\n"
        (former / "systemd/system/nix.mount").write_text(text)
    elif kind == "a bind":
        (former / "fstab").write_text(f"{there} /nix none bind 0 0\n")
    else:
        (former / "fstab").write_text("UUID=1 /nix btrfs subvol=nix,noatime 0 0\n")

    def show(words: list[str]) -> int:
        Path(words[-1]).rmdir()
        there.rename(words[-1])
        return 0

    places.shown = show
    found = find.choose(None)
    if kind == "a subvolume":
        assert (found.name, found.lasting) == ("UUID=1", False)
        assert places.mounted[-1][:5] == ["mount", "-t", "btrfs", "-o", "ro,subvol=nix"]
        assert found.line is not None
    else:
        assert found == find.Candidate(str(there), str(there))


def test_file_system_that_cannot_be_mounted_is_skipped(places: Places) -> None:
    places.fstab.write_text("UUID=1 /nix btrfs defaults 0 0\n")
    assert list(find.find()) == []
    assert len(places.mounted) == 1


def test_store_hidden_by_our_mount_is_found(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    (places.top / "nix").symlink_to(paths.HOME)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == find.NIX)
    bound = []

    def bind(source: str, target: str) -> None:
        bound.append(source)
        hidden = Path(f"{target}{find.NIX}")
        hidden.parent.mkdir(parents=True)
        places.theirs.rename(hidden)

    monkeypatch.setattr(syscalls, "bind", bind)
    found = find.choose(None)
    assert bound == ["/"]
    assert found.name.endswith(f"below the mount of {paths.BASE}")
    assert not found.lasting
