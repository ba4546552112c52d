"""Test that a copy of a tree is complete, and that a comparison finds each difference."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from nix_aurora_host.database.progress import Progress
from nix_aurora_host.move.copy import copy, find_difference

_NOBODY = 65534


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Return a tree with every kind of file that a store's directory may have."""
    top = tmp_path / "top"
    user = top / "var/nix/profiles/per-user/alice"
    user.mkdir(parents=True)
    os.chown(user, 1234, 1235)
    (top / "store").mkdir(mode=0o1775)
    (top / "store").chmod(0o1775)
    program = top / "store/a-program"
    program.write_bytes(b"x" * 100_000)
    program.chmod(0o555)
    os.utime(program, (1, 1))
    (top / "store/b-program").hardlink_to(program)
    (top / "store/c-link").symlink_to("/nix/store/gone")
    os.chown(top / "store/c-link", _NOBODY, _NOBODY, follow_symlinks=False)
    os.utime(top / "store/c-link", (1, 1), follow_symlinks=False)
    (user / "own").write_text("text")
    os.setxattr(user / "own", "user.note", b"kept")
    os.mkfifo(user / "pipe", 0o640)
    (top / "store/\udcff \n").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(top / "socket"))
    os.utime(top / "var", (5, 5))
    return top


@pytest.fixture
def done(top: Path, tmp_path: Path) -> Path:
    """Return a copy of the tree."""
    target = tmp_path / "target"
    target.mkdir()
    (target / ".nix-aurora-move").touch()
    (target / "lost+found").mkdir()
    with Progress("copying", 1) as progress:
        assert copy(str(top), str(target), progress) == 12
    return target


def test_copy_equals_the_original(top: Path, done: Path) -> None:
    assert find_difference(str(top), str(done)) is None
    assert (done / "store/a-program").samefile(done / "store/b-program")
    assert (done / "store").stat().st_mode & 0o7777 == 0o1775
    user = done / "var/nix/profiles/per-user/alice"
    assert (user.stat().st_uid, user.stat().st_gid) == (1234, 1235)
    assert os.getxattr(user / "own", "user.note") == b"kept"
    assert (user / "pipe").is_fifo()
    assert (done / "var").stat().st_mtime == 5
    assert (done / "store/c-link").lstat().st_uid == _NOBODY
    assert not (done / "socket").exists()


_CHANGES: dict[str, Callable[[Path], object]] = {
    "store/a-program": lambda top: (top / "store/a-program").chmod(0o755),
    "store/b-program": lambda top: (top / "store/b-program").unlink(),
    "store/bb": lambda top: (top / "store/bb").touch(),
    "store/c-link": lambda top: os.chown(top / "store/c-link", 0, 0, follow_symlinks=False),
    "var": lambda top: os.utime(top / "var", (9, 9)),
    "var/nix/profiles/per-user/alice/own": lambda top: os.removexattr(
        top / "var/nix/profiles/per-user/alice/own", "user.note"
    ),
    ".": lambda top: top.chmod(0o700),
}


@pytest.mark.parametrize("path", _CHANGES)
def test_each_difference_is_found(path: str, top: Path, done: Path) -> None:
    changed = done / os.path.dirname(path)  # noqa: PTH120 - a relative path
    times = changed.stat().st_mtime_ns
    _CHANGES[path](done)
    if path != ".":
        os.utime(changed, ns=(times, times))
    assert find_difference(str(top), str(done)) == path
    assert find_difference(str(done), str(top)) == path


def test_link_in_a_directory_of_a_user_is_not_followed(top: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").touch()
    (top / "var/nix/profiles/per-user/alice/evil").symlink_to(tmp_path / "secret")
    target = tmp_path / "target"
    target.mkdir()
    with Progress("copying", 1) as progress:
        copy(str(top), str(target), progress)
    assert (target / "var/nix/profiles/per-user/alice/evil").is_symlink()


@pytest.fixture(autouse=True)
def _own_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nix_aurora_host.paths.RECOVERY", str(tmp_path / "recovery"))
