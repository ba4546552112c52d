"""Test where stores of another Nix are found."""

from pathlib import Path

from nix_aurora_host.former.facts import FormerStore
from nix_aurora_host.former.stores import BELOW, find_keepers, find_stores, sources
from nix_aurora_host.former.tree import Tree

from tests.leftovers import DETERMINATE, Files, Link, write

_SUBVOLUME = "UUID=1 {} btrfs subvol=nix 0 0\n"


def _store(path: str) -> Files:
    return {f"{path}/store/.kept": "", f"{path}/var/nix/db/db.sqlite": ""}


def _found(top: Path, *, ours: bool = True) -> list[FormerStore]:
    tree = Tree(str(top))
    return list(find_stores(tree, ours=ours, lines=sources(tree)))


def test_store_of_the_installer_is_found_with_its_uninstaller(tmp_path: Path) -> None:
    write(tmp_path, DETERMINATE)
    assert _found(tmp_path) == [FormerStore("/var/home/nix", uninstaller=True)]


def test_store_without_a_database_is_ignored(tmp_path: Path) -> None:
    write(tmp_path, {"/var/home/nix/store/x": "", "/var/home/nix/var/nix/y": ""})
    assert _found(tmp_path) == []


def test_sources_of_mounts_are_checked_even_after_they_were_set_aside(tmp_path: Path) -> None:
    former = "/etc/nix-aurora.former/etc"
    unit = "[Mount]\nWhat=/var/c\nWhere=/nix\n"
    write(tmp_path, {"/etc/fstab": "/var/a /nix none bind\n"})
    write(tmp_path, {f"{former}/fstab.1": "/var/b /nix none bind\n"})
    write(tmp_path, {f"{former}/systemd/system/nix.mount.1": unit})
    for path in ("/var/a", "/var/b", "/var/c", "/var/d"):
        write(tmp_path, _store(path))
    assert {store.path for store in _found(tmp_path)} == {"/var/a", "/var/b", "/var/c"}


def test_store_with_two_names_is_listed_once(tmp_path: Path) -> None:
    """If the store is also mounted on /nix, it has two names."""
    write(tmp_path, {**_store("/var/home/nix"), "/nix": Link("var/home/nix")})
    assert _found(tmp_path, ours=False) == [FormerStore("/nix")]


def test_nix_itself_is_another_store_unless_it_is_ours(tmp_path: Path) -> None:
    write(tmp_path, _store("/nix"))
    assert _found(tmp_path, ours=False) == [FormerStore("/nix")]
    assert _found(tmp_path, ours=True) == []


def test_subvolume_is_checked_unless_it_is_our_mount(tmp_path: Path) -> None:
    write(tmp_path, {"/etc/fstab": _SUBVOLUME.format("/nix")})
    assert _found(tmp_path) == [FormerStore("", "UUID=1")]
    write(tmp_path, _store("/nix"))
    assert _found(tmp_path, ours=False) == [FormerStore("/nix")]  # the subvolume is mounted there
    kept = {"/etc/nix-aurora.former/etc/fstab": _SUBVOLUME.format("/nix")}
    write(tmp_path, {"/etc/fstab": _SUBVOLUME.format("/var/lib/nix"), **kept})
    assert _found(tmp_path) == []


def test_own_store_in_another_place_is_ignored(tmp_path: Path) -> None:
    write(tmp_path, {**_store("/var/home/nix"), "/var/lib/nix": Link("../home/nix")})
    assert _found(tmp_path) == []


def test_image_of_a_file_system_may_have_a_store(tmp_path: Path) -> None:
    write(tmp_path, {"/etc/fstab": "/var/nix.btrfs /nix btrfs loop,subvol=nix 0 0\n"})
    assert _found(tmp_path) == [FormerStore("", "/var/nix.btrfs")]


def test_stores_that_may_have_a_lost_path_are_found(tmp_path: Path) -> None:
    write(tmp_path, {"/a/store/x/bin": "", "/b/store/y": "", "/c/nix/store/x": ""})
    unmounted, hidden = FormerStore("", "UUID=1"), FormerStore("", BELOW, seen="/c/nix")
    stores = (FormerStore("/a"), FormerStore("/b"), unmounted, hidden)
    tree = Tree(str(tmp_path))
    assert find_keepers(tree, stores, "/var/lib/nix/store/x") == (stores[0], unmounted, hidden)
    assert find_keepers(tree, stores, "/var/lib/nix/store/z") == (unmounted,)
    assert find_keepers(tree, stores, "/var/home/u/gone") == ()
