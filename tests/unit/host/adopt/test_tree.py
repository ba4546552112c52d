"""Test walking and copying trees in which users may write."""

import os
import stat
from pathlib import Path

import pytest
from nix_aurora_host.adopt import tree


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Return a tree with a user's directory."""
    top = tmp_path / "top"
    (top / "profiles/per-user/alice").mkdir(parents=True)
    (top / "profiles/per-user/alice/profile").symlink_to("profile-1-link")
    (top / "profiles/per-user/alice/profile-1-link").symlink_to("/nix/store/x")
    (top / "log").mkdir()
    (top / "log/of-root").write_text("text")
    (top / "log/of-root").chmod(0o640)
    (top / "log/of-alice").write_text("text")
    os.mkfifo(top / "log/pipe")
    for path in (top / "profiles/per-user/alice", top / "log/of-alice"):
        os.chown(path, 1234, 1234)
    os.chown(top / "profiles/per-user/alice/profile", 1234, 1234, follow_symlinks=False)
    os.utime(top / "log", (5, 5))
    return top


def test_everything_is_walked_parents_first(top: Path) -> None:
    found = {entry.path: entry.target for entry in tree.walk(str(top))}
    assert list(found) == sorted(found)
    assert found["profiles/per-user/alice/profile"] == "profile-1-link"
    assert found["log/of-root"] is None
    assert set(found) >= {"log", "log/pipe", "profiles/per-user/alice/profile-1-link"}


def test_no_link_is_followed(top: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/secret").touch()
    (top / "profiles/per-user/evil").symlink_to(tmp_path / "elsewhere")
    assert not [entry for entry in tree.walk(str(top)) if "secret" in entry.path]


def test_skipped_directory_is_not_entered(top: Path) -> None:
    found = [entry.path for entry in tree.walk(str(top), lambda path: path == "profiles")]
    assert "log" in found
    assert not [path for path in found if path.startswith("profiles")]


def test_files_that_vanish_during_the_walk_are_left_out(top: Path) -> None:
    seen = []
    for entry in tree.walk(str(top)):
        seen.append(entry.path)
        if entry.path == "log":
            (top / "log/of-root").unlink()
            os.rename(top / "profiles", top / "other")  # noqa: PTH104
    assert seen == ["log", "log/of-alice", "log/pipe"]


def test_copy_keeps_owners_modes_and_times(top: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    left_out = tree.copy(str(top), str(copy), lambda _: False)
    assert left_out == ["log/of-alice", "log/pipe"]
    alice = (copy / "profiles/per-user/alice").stat()
    assert (alice.st_uid, alice.st_gid) == (1234, 1234)
    link = copy / "profiles/per-user/alice/profile"
    assert link.readlink() == Path("profile-1-link")
    assert link.lstat().st_uid == 1234
    assert (copy / "log/of-root").read_text() == "text"
    assert stat.S_IMODE((copy / "log/of-root").stat().st_mode) == 0o640
    assert (copy / "log").stat().st_mtime == 5
    assert sorted(path.name for path in (copy / "log").iterdir()) == ["of-root"]
