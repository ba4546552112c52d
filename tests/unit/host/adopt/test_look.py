"""Test the inspection of another store, and the text of a takeover's plan."""

import json
import os
import pwd
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.adopt import leftovers, look, settings, snapshot, words
from nix_aurora_host.adopt.journal import Way, place
from nix_aurora_host.adopt.plan import Plan, choose_way
from nix_aurora_host.adopt.run import Done
from nix_aurora_host.errors import CommandError
from nix_aurora_host.former.mounts import Line

from tests.unit.host.adopt.stores import Stores
from tests.unit.host.nix_database import A, B, C, D


def _look(stores: Stores) -> look.Former:
    database = snapshot.take(str(stores.theirs.database.parent), place("look"))
    return look.look(str(stores.theirs.top), database)


def test_profiles_users_channels_and_roots_are_counted(stores: Stores) -> None:
    stores.profile(stores.theirs, "profiles/per-user/alice/profile", A, B)
    stores.profile(stores.theirs, "profiles/per-user/root/channels", C)
    stores.profile(stores.theirs, "profiles/default", A)
    stores.theirs.root("auto/abc", D)
    (stores.theirs.state / "gcroots/profiles").symlink_to("/nix/var/nix/profiles")
    former = _look(stores)
    assert {row.name for row in former.rows} == {A, B, C, D}
    assert former.schema == 10
    assert former.size > 0
    assert former.state.profiles == {
        "profiles/default": 1,
        "profiles/per-user/alice/profile": 2,
        "profiles/per-user/root/channels": 1,
    }
    assert former.state.people == ["alice", "root"]
    assert former.state.channels == ["profiles/per-user/root/channels"]
    assert former.state.roots == ["gcroots/auto/abc"]


def test_profiles_in_homes_are_counted_by_their_roots(stores: Stores) -> None:
    home = stores.top / "home"
    home.mkdir()
    for number, path_name in ((1, A), (2, B)):
        generation = home / f"profile-{number}-link"
        generation.symlink_to(f"/nix/store/{path_name}")
        (stores.theirs.state / f"gcroots/auto/{number}").symlink_to(generation)
    os.chown(home / "profile-1-link", pwd.getpwnam("daemon").pw_uid, -1, follow_symlinks=False)
    (stores.theirs.state / "gcroots/auto/result").symlink_to(home / "gone")
    twice = stores.theirs.state / "gcroots/auto/twice"
    twice.symlink_to("/nix/var/nix/profiles/per-user/alice/profile-1-link")
    state = look.read_state(str(stores.theirs.state))
    assert state.profiles == {f"{home}/profile": 2}
    assert state.people == ["daemon", "root"]
    assert state.roots == ["gcroots/auto/result"]


def test_write_ahead_log_is_part_of_the_database(stores: Stores) -> None:
    import sqlite3  # noqa: PLC0415

    connection = sqlite3.connect(stores.theirs.database)
    connection.execute("pragma wal_autocheckpoint = 0")
    connection.execute("delete from Refs")
    connection.execute("delete from ValidPaths where path like '%' || ?", (D,))
    connection.commit()
    former = _look(stores)
    connection.close()
    assert {row.name for row in former.rows} == {A, B, C}


def test_damaged_database_is_refused(stores: Stores) -> None:
    with stores.theirs.database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 4096)
    with pytest.raises(CommandError, match="nothing was changed"):
        _look(stores)


@pytest.mark.parametrize("how", ["a profile", "a link to a path", "no profile", "a circle", "out"])
def test_nix_of_the_default_profile_is_found(stores: Stores, how: str) -> None:
    links = {
        "a profile": f"/nix/store/{B}",
        "a link to a path": f"/nix/store/{C}",
        "a circle": "default",
        "out": "/usr",
    }
    nix = stores.theirs.store / A / "bin/nix"
    nix.touch()
    (stores.theirs.store / B / "bin/nix").symlink_to(f"/nix/store/{A}/bin/nix")
    (stores.theirs.store / C / "bin/nix").symlink_to(f"../../{A}/bin/nix")
    profiles = stores.theirs.state / "profiles"
    profiles.mkdir()
    if how in links:
        (profiles / "default").symlink_to(links[how])
    found = look.find_nix(str(stores.theirs.top))
    expected = {"a profile", "a link to a path"}
    assert found == (f"{paths.PREFIX}/{A}" if how in expected else None)


# --- the way of a takeover


@pytest.mark.parametrize(
    ("packages", "whole", "renames", "way"),
    [
        (False, False, True, Way.MOVE),
        (False, False, False, Way.COPY),
        (False, True, False, Way.MOUNT),
        (False, True, True, Way.MOUNT),
        (True, False, True, Way.MERGE),
        (True, True, False, Way.MERGE),
    ],
)
def test_way_follows_from_both_stores(packages: bool, whole: bool, renames: bool, way: Way) -> None:
    assert choose_way(packages=packages, whole=whole, renames=renames) is way


# --- settings and leftovers


_FORMER = """\
build-users-group = nixbld
experimental-features = nix-command flakes
extra-substituters = https://cache.example.org
trusted-public-keys = a:b= c:d=
trusted-users = root evil
sandbox = false
keep-outputs = true
keep-going = \x1b[31m
max-jobs = 4
post-build-hook = /home/evil/hook
"""


def test_only_harmless_settings_are_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = tmp_path / "nix.conf"
    former.write_text(_FORMER)
    monkeypatch.setattr(paths, "PRISTINE", str(tmp_path / "etc"))
    assert settings.find_proposal([str(former), str(tmp_path / "missing")]) == [
        "experimental-features = nix-command flakes",
        "extra-substituters = https://cache.example.org",
        "trusted-public-keys = a:b= c:d=",
        "keep-outputs = true",
        "max-jobs = 4",
    ]
    (tmp_path / "etc/nix").mkdir(parents=True)
    (tmp_path / "etc/nix/nix.conf").write_text("max-jobs = 4\n")
    assert "max-jobs = 4" not in settings.find_proposal([str(former)])


def test_receipt_is_renamed_each_time(stores: Stores) -> None:
    top = stores.theirs.top
    assert leftovers.put_receipt_aside(str(top)) is None
    for _ in range(2):
        (top / "receipt.json").touch()
        assert leftovers.put_receipt_aside(str(top)) is not None
    assert not (top / "receipt.json").exists()
    assert len(list(top.glob("receipt.json.put-aside*"))) == 2


# --- text


@pytest.mark.parametrize("way", Way)
def test_plan_describes_the_takeover(stores: Stores, way: Way) -> None:
    line = Line(4, "UUID=1", "/nix", "btrfs", ())
    former = _look(stores)
    plan = Plan(way, former, "/somewhere", former.rows, line=line)
    text = "\n".join(words.describe_plan(plan, check=True))
    said = {
        Way.MOVE: ": it is on the same file system",
        Way.COPY: "It is copied to ",
        Way.MERGE: "Users keep packages in both stores.",
        Way.MOUNT: "/etc/fstab mounts UUID=1 on ",
    }
    assert "Another Nix's store: /somewhere: 4 store paths, " in text
    assert said[way] in text
    assert ("It is moved to\n" in text) == (way in {Way.MOVE, Way.COPY})


@pytest.mark.parametrize("way", Way)
def test_result_names_the_remaining_steps(stores: Stores, way: Way) -> None:
    done = Done(way, "/some where", 4, 2, [f"profiles/{n}" for n in range(30)], ["var/x\n"])
    text = "\n".join(words.describe_done(done, ["max-jobs = 4"]))
    assert "  profiles/0\n" in text
    assert "  and 10 more; to list all: " in text
    assert "var/var/x\\n" in text
    assert "  max-jobs = 4" in text
    kept = "sudo rm -r '/some where/store' '/some where/var'"
    assert (kept in text) == (way in {Way.COPY, Way.MERGE})
    assert ("Reboot now." in text) == (way is Way.MOUNT)
    assert ("sudo nix-aurora set-aside" in text) == (way is not Way.MOUNT)


def test_private_mount_is_not_suggested_for_removal() -> None:
    done = Done(Way.COPY, "/nix, below the mount", lasting=False)
    text = "\n".join(words.describe_done(done, []))
    assert "The original was not changed." in text
    assert "rm -r" not in text


def test_json_has_the_plan_and_the_result(stores: Stores) -> None:
    stores.profile(stores.theirs, "profiles/per-user/a\nb/profile", A)
    plan = Plan(Way.COPY, _look(stores), "/somewhere")
    planned = json.loads(json.dumps(words.to_json(plan, None, [])))
    assert planned["adopted"] is False
    assert planned["users"] == ["a\\nb"]
    assert planned["paths"] == 4
    done = words.to_json(plan, Done(Way.COPY, "/x", 4, kept=["k"]), ["s"])
    assert done["adopted"] is True
    assert done["kept"] == ["k"]
    assert done["settings"] == ["s"]
    assert words.to_json(None, None, []) == {"adopted": False, "settings": []}
