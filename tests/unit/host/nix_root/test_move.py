"""Test the move onto a new root, and the cleanup after a run that ended at any point."""

import os
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.mounts import Mount
from nix_aurora_host.nix_root import move, syscalls


class _Host:
    """A host with mounts; ``calls`` are the system calls that were made."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.mounted = ["/"]
        self.has_nix = False
        self.work, self.made, self.pending = place / "work", place / "made", place / "pending"
        monkeypatch.setattr(move, "WORK", str(self.work))
        monkeypatch.setattr(move, "MADE", str(self.made))
        monkeypatch.setattr(paths, "PENDING", str(self.pending))
        monkeypatch.setattr(move, "read_mounts", self._mounts)
        isdir = os.path.isdir
        monkeypatch.setattr(
            os.path, "isdir", lambda path: self.has_nix if path == "/nix" else isdir(path)
        )
        monkeypatch.setattr(os, "chdir", lambda path: self.calls.append(f"chdir {path}"))
        monkeypatch.setattr(
            syscalls, "propagate", lambda path, how: self.calls.append(f"{_NAMES[how]} {path}")
        )
        monkeypatch.setattr(syscalls, "detach", self._detach)
        monkeypatch.setattr(
            syscalls, "pivot_root", lambda new, old: self.calls.append(f"pivot {new} {old}")
        )

    def _mounts(self) -> list[Mount]:
        return [Mount(where, "rw", "tmpfs", "none", "rw") for where in self.mounted]

    def _detach(self, path: str) -> None:
        self.mounted.remove(path)
        self.calls.append(f"detach {path}")


_NAMES = {
    syscalls.PRIVATE | syscalls.RECURSIVE: "private",
    syscalls.SHARED: "shared",
}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Host:
    """Return a host on which nothing was done yet."""
    return _Host(tmp_path, monkeypatch)


def test_move_is_recorded_before_it_is_made(host: _Host) -> None:
    move.move("overlay", "6.18", "now")
    assert host.made.read_text() == "overlay\n"
    assert host.pending.read_text() == "overlay 6.18 now\n"
    assert host.calls == ["chdir /run/nix-root/root", "pivot . ."]


def test_cleanup_without_leftovers_does_nothing(host: _Host) -> None:
    move.clean("now")
    assert host.calls == ["chdir /"]


def test_run_that_ended_while_it_built_leaves_nothing(host: _Host) -> None:
    host.work.mkdir()
    host.mounted.append(str(host.work))
    move.clean("now")
    assert host.calls == ["chdir /", f"private {host.work}", f"detach {host.work}"]
    assert not host.work.exists()


def test_run_that_ended_before_the_move_is_not_a_failed_boot(host: _Host) -> None:
    host.pending.write_text("overlay 6.18 before\n")
    move.move("overlay", "6.18", "now")
    move.clean("now")
    assert host.pending.read_text() == "overlay 6.18 before\n"
    assert not host.made.exists()


def test_run_that_ended_after_the_move_is_finished(host: _Host) -> None:
    move.move("overlay", "6.18", "now")
    host.has_nix = True
    host.mounted.append("/")
    host.calls.clear()
    move.clean("now")
    assert host.calls == ["chdir /", "private /..", "detach /", "shared /"]
    assert host.made.exists()
    assert host.pending.read_text() == "overlay 6.18 now\n"
    host.calls.clear()
    move.clean("now")
    assert host.calls == ["chdir /", "shared /"]
