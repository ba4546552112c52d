"""Roots whose targets may only be out of sight, told from those that their users deleted."""

import os
import pwd
from pathlib import Path

import pytest
from nix_aurora_host import mounts, paths
from nix_aurora_host.collection import hidden
from nix_aurora_host.collection.hidden import Hidden, Places, why_hidden
from nix_aurora_host.system import Outcome

_ME = os.getuid()
_UNITS = """\
Where=/
ActiveState=active

Where=/data
ActiveState=inactive

ActiveState=failed
Where=/home
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home of a user, which has something in it; the user who tests is not root."""
    monkeypatch.setattr(hidden, "_ROOT", _ME + 1)
    home = tmp_path / "home/user"
    (home / "project").mkdir(parents=True)
    return home


def _places(home: Path, user: int = _ME, unmounted: str = "/data") -> Places:
    return Places({str(home): user}, frozenset({unmounted}))


@pytest.mark.parametrize("name", ["result", "gone/result", "project/gone/result"])
def test_what_was_deleted_in_a_home_is_not_hidden(name: str, home: Path) -> None:
    assert why_hidden(f"{home}/{name}", _places(home)) is None


def test_what_is_there_is_not_hidden_wherever_it_leads(home: Path) -> None:
    (home / "result").symlink_to("/nowhere")
    assert why_hidden(f"{home}/result", _places(home, unmounted=str(home))) is None


def test_a_file_in_place_of_a_directory_hides_nothing(home: Path) -> None:
    (home / "file").touch()
    assert why_hidden(f"{home}/file/result", _places(home)) is None


def test_a_home_that_is_missing_hides(home: Path) -> None:
    target, places = f"{home}/project/result", _places(home)
    home.rename(home.with_name("away"))
    assert why_hidden(target, places) == f"{home} is not there: No such file or directory"
    home.mkdir()
    assert why_hidden(target, places) == f"{home} is empty: it may not be mounted"


def test_a_home_of_another_owner_hides(home: Path) -> None:
    reason = why_hidden(f"{home}/result", _places(home, user=_ME + 1))
    assert reason == f"{home} does not belong to its user: it may not be mounted"


def test_a_home_beside_those_of_users_hides(home: Path) -> None:
    """It may be the one of a user whom the host does not list: of sssd, say."""
    missing = home.with_name("stranger")
    assert why_hidden(f"{missing}/result", _places(home)) == f"{missing} is not there"


def test_what_is_to_be_mounted_hides(home: Path) -> None:
    places = _places(home, unmounted=f"{home}/disk")
    assert why_hidden(f"{home}/disk/a/result", places) == f"{home}/disk is not mounted"
    assert why_hidden(f"{home}/diskette/result", places) is None


def test_a_link_on_the_way_is_followed(home: Path, tmp_path: Path) -> None:
    """/home is one to /var/home."""
    (tmp_path / "h").symlink_to("home")
    places = _places(home, unmounted=str(home / "disk"))
    assert why_hidden(f"{tmp_path}/h/user/disk/result", places) == f"{home}/disk is not mounted"


def test_a_missing_top_level_directory_hides(home: Path) -> None:
    assert why_hidden("/no-such-disk/a/result", _places(home)) == "/no-such-disk is not there"


def test_an_empty_directory_of_root_hides(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory to mount on is one. Root's own home is none, and no directory of all."""
    monkeypatch.setattr(hidden, "_ROOT", _ME)
    root = pwd.struct_passwd(("root", "", 0, 0, "", str(tmp_path / "root"), ""))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: root)
    stub = tmp_path / "srv/disk"
    stub.mkdir(parents=True)
    target, reason = f"{stub}/a/result", f"{stub} is empty: it may not be mounted"
    assert why_hidden(target, _places(home)) == reason
    stub.chmod(0o1777)
    assert why_hidden(target, _places(home)) is None
    stub.chmod(0o755)
    (stub / "b").touch()
    assert why_hidden(target, _places(home)) is None
    own = tmp_path / "root/work"
    own.mkdir(parents=True)
    assert why_hidden(f"{own}/a/result", _places(home)) is None


def test_a_missing_disk_hides(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media = tmp_path / "media"
    (media / "user/other").mkdir(parents=True)
    monkeypatch.setattr(hidden, "_AREAS", {str(media): 2})
    reason = f"{media}/user/disk is not there: a disk may be missing"
    assert why_hidden(f"{media}/user/disk/a/result", _places(home)) == reason
    assert why_hidden(f"{media}/user/other/a/result", _places(home)) is None


def test_what_may_not_be_looked_at_hides(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector skips it: nothing keeps its store path then."""

    def refuse(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "lstat", refuse)
    reason = why_hidden(f"{home}/result", _places(home))
    assert reason == "cannot be looked at: Permission denied"


def test_units_that_are_not_mounted_are_found() -> None:
    assert hidden.parse_units(_UNITS) == {"/data", "/home"}


def test_the_host_is_asked_for_homes_and_mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    users = [("u", 1000, "/h/u"), ("daemon", 2, "/h/d"), ("odd", 1001, "/"), ("none", 1002, "")]
    entries = [
        pwd.struct_passwd((name, "x", number, 1, "", home, "")) for name, number, home in users
    ]
    monkeypatch.setattr(pwd, "getpwall", lambda: entries)
    monkeypatch.setattr(hidden, "run", lambda _: Outcome(0, _UNITS, ""))
    fstab = "UUID=1 /more ext4\nUUID=2 none swap\nUUID=3 /tmp ext4\nUUID=4 /there btrfs\n"
    monkeypatch.setattr(hidden, "read", lambda _: fstab)
    monkeypatch.setattr(mounts, "read_mounts", lambda: [mounts.Mount("/there")])
    places = hidden.gather_places()
    assert places.homes == {"/h/u": 1000}
    assert places.unmounted == {"/data", "/home", "/more"}


def test_roots_are_read_from_their_links(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "STATE", str(tmp_path / "state"))
    monkeypatch.setattr(hidden, "gather_places", lambda: _places(home, unmounted=f"{home}/disk"))
    auto = tmp_path / "state/gcroots/auto"
    auto.mkdir(parents=True)
    (auto / "there").symlink_to(home / "project")
    (auto / "deleted").symlink_to(home / "deleted")
    (auto / "hidden").symlink_to(home / "disk/result")
    (auto.parent / "profiles").symlink_to("/nix/var/nix/profiles")
    (auto.parent / "direct").symlink_to("/nix/store/x")
    assert dict(hidden.find_indirect()) == {
        str(auto / "there"): str(home / "project"),
        str(auto / "deleted"): str(home / "deleted"),
        str(auto / "hidden"): str(home / "disk/result"),
    }
    assert hidden.find_hidden() == [
        Hidden(str(auto / "hidden"), f"{home}/disk/result", f"{home}/disk is not mounted")
    ]
