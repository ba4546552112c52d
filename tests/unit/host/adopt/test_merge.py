"""Test what this host's store takes over from another one, and what stays unchanged."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.adopt import look, merge, snapshot
from nix_aurora_host.adopt.journal import place
from nix_aurora_host.errors import CommandError

from tests.unit.host.adopt.stores import PACKAGED, Stores
from tests.unit.host.nix_database import A, B, C, D


def _snapshot(stores: Stores) -> str:
    return snapshot.take(str(stores.theirs.database.parent), place("look"))


def _find_missing(stores: Stores) -> set[str]:
    former = look.look(str(stores.theirs.top), _snapshot(stores))
    return {row.name for row in merge.find_missing(former.rows)}


def _share(stores: Stores, path_name: str) -> None:
    """Register a path in both stores."""
    stores.ours.add(path_name)
    stores.ours.database.unlink()
    stores.ours.make_database([PACKAGED, path_name])


def _register(stores: Stores) -> list[str]:
    database = _snapshot(stores)
    names = _find_missing(stores)
    for path_name in names:
        shutil.copytree(
            stores.theirs.store / path_name, stores.ours.store / path_name, symlinks=True
        )
    return merge.register(database, names)


def test_only_paths_that_this_store_lacks_are_missing(stores: Stores) -> None:
    assert _find_missing(stores) == {A, B, C, D}
    _share(stores, B)
    assert _find_missing(stores) == {A, C, D}


def test_rows_are_copied_completely(stores: Stores) -> None:
    _share(stores, B)
    with closing(sqlite3.connect(stores.theirs.database)) as connection:
        connection.execute(
            "insert into Realisations (drvPath, outputName, outputPath, signatures)"
            " select 'sha256:drv!' || id, 'out', id, 'key:realised' from ValidPaths"
        )
        connection.execute(
            "insert into DerivationOutputs values (3, 'out', '/nix/store/elsewhere')"
        )
        connection.commit()
    assert set(_register(stores)) == {A, C, D}
    assert stores.ours.valid() == {PACKAGED, A, B, C, D}
    rows = stores.ours.run("select path, sigs, ca, deriver, ultimate from ValidPaths")
    assert {row[1] for row in rows} == {"key:signature"}
    assert {row[2] for row in rows} == {"fixed:r"}
    references = stores.ours.run(
        "select a.path, b.path from Refs join ValidPaths a on a.id = referrer"
        " join ValidPaths b on b.id = reference"
    )
    assert {(Path(str(a)).name, Path(str(b)).name) for a, b in references} == {(C, B)}
    assert len(stores.ours.run("select * from Realisations")) == 4
    assert stores.ours.run("select path from DerivationOutputs") == [("/nix/store/elsewhere",)]


def test_rows_of_a_killed_run_are_copied_again(stores: Stores) -> None:
    _register(stores)
    assert merge.register(f"{place('look')}/db.sqlite", {A, B, C, D}) == []
    assert stores.ours.valid() == {PACKAGED, A, B, C, D}


def test_database_with_a_dangling_reference_is_refused(stores: Stores) -> None:
    with closing(sqlite3.connect(stores.theirs.database)) as connection:
        connection.execute("insert into Refs values (1, 999)")
        connection.commit()
    with pytest.raises(CommandError, match="refers to nothing"):
        _snapshot(stores)


@pytest.mark.parametrize("there", ["nothing", "the same", "something else"])
def test_path_replaces_any_unregistered_content(stores: Stores, there: str) -> None:
    former = look.look(str(stores.theirs.top), _snapshot(stores))
    (row,) = (row for row in former.rows if row.name == A)
    copies = stores.top / "copies"
    shutil.copytree(stores.theirs.store / A, copies / A, symlinks=True)
    target = stores.ours.store / A
    if there != "nothing":
        shutil.copytree(stores.theirs.store / A, target, symlinks=True)
    if there == "something else":
        (target / "bin/program").write_text("evil")
    merge.place_paths(str(copies), [row])
    assert (target / "bin/program").read_text() == A
    aside = [path.read_text() for path in Path(paths.ASIDE).glob(f"*/{A}/bin/program")]
    assert aside == (["evil"] if there == "something else" else [])


# --- profiles and roots


def test_profiles_and_roots_keep_their_owners(stores: Stores) -> None:
    stores.profile(stores.theirs, "profiles/per-user/alice/profile", A, B)
    stores.profile(stores.theirs, "profiles/per-user/root/channels", C)
    stores.theirs.root("auto/abc", D)
    os.chown(stores.theirs.state / "profiles/per-user/alice", 1234, 1234)
    count, kept = merge.merge_links(str(stores.theirs.state))
    assert (count, kept) == (6, [])
    alice = stores.ours.state / "profiles/per-user/alice"
    assert alice.stat().st_uid == 1234
    assert (alice / "profile").readlink() == Path("profile-2-link")
    assert (alice / "profile-1-link").readlink().name == A
    assert (stores.ours.state / "gcroots/auto/abc").readlink().name == D
    assert merge.merge_links(str(stores.theirs.state)) == (0, [])


def test_profile_in_both_stores_keeps_all_generations(stores: Stores) -> None:
    stores.profile(stores.theirs, "profiles/per-user/alice/profile", A, B)
    stores.profile(stores.theirs, "profiles/default", A)
    stores.profile(stores.ours, "profiles/per-user/alice/profile", PACKAGED)
    stores.theirs.root("auto/abc", D)
    stores.ours.root("auto/abc", PACKAGED)
    count, kept = merge.merge_links(str(stores.theirs.state))
    assert kept == ["gcroots/auto/abc", "profiles/per-user/alice/profile"]
    assert count == 2
    alice = stores.ours.state / "profiles/per-user/alice"
    assert sorted(path.name for path in alice.iterdir()) == ["profile", "profile-1-link"]
    assert (alice / "profile-1-link").readlink().name == PACKAGED


def test_profile_of_a_killed_run_is_completed(stores: Stores) -> None:
    stores.profile(stores.theirs, "profiles/per-user/alice/profile", A, B)
    begun = stores.ours.state / "profiles/per-user/alice/profile-1-link"
    begun.parent.mkdir(parents=True)
    begun.symlink_to(f"/nix/store/{A}")
    assert merge.merge_links(str(stores.theirs.state)) == (2, [])


def test_roots_of_the_package_are_not_copied(stores: Stores) -> None:
    for root in ("nix-aurora/nix", "tmp/x"):
        (stores.theirs.state / "gcroots" / root).parent.mkdir()
        stores.theirs.root(root, A)
    (stores.theirs.state / "gcroots/profiles").symlink_to("/nix/var/nix/profiles")
    assert merge.merge_links(str(stores.theirs.state)) == (0, [])


def test_link_in_place_of_a_directory_is_not_followed(stores: Stores) -> None:
    """Users may replace their own directories with links at any moment."""
    stores.profile(stores.theirs, "profiles/per-user/alice/profile", A)
    elsewhere = stores.top / "elsewhere"
    elsewhere.mkdir()
    place_ = stores.ours.state / "profiles/per-user/alice"
    place_.parent.mkdir(parents=True)
    place_.symlink_to(elsewhere)
    with pytest.raises(OSError, match="alice"):
        merge.merge_links(str(stores.theirs.state))
    assert list(elsewhere.iterdir()) == []
