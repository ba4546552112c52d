"""Test nix-root from start to end, without the steps that only a booting system can do."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.errors import CommandError
from nix_aurora_host.mounts import Mount
from nix_aurora_host.nix_root import ask, boots, forget, program

_EARLY = [{"ActiveState": "inactive"}, {"ActiveState": "inactive", "Job": "1"}]
_UP = [{"ActiveState": "active"}, {"ActiveState": "active"}]
_ROOT = Mount("/", "ro", "overlay", "composefs", "ro")


class _Host:
    """A stock host in an early boot; ``done`` lists the steps that ran."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.has_nix = False
        self.layout = "auto"
        self.units = _EARLY
        self.build: Callable[[], str | None] = lambda: "overlay"
        self.unmoved = place / "unmoved"
        self.move_now = place / "move-now"
        self.pending = place / "pending"
        monkeypatch.setattr(paths, "UNMOVED", str(self.unmoved))
        monkeypatch.setattr(paths, "MOVE_NOW", str(self.move_now))
        monkeypatch.setattr(paths, "PENDING", str(self.pending))
        monkeypatch.setattr(program, "_needs_nothing", lambda: self.has_nix)
        monkeypatch.setattr(os, "access", lambda *_: True)  # /etc is writable
        monkeypatch.setattr(ask, "ask_layout", lambda: self.layout)
        monkeypatch.setattr(ask, "ask_units", lambda *_: self.units)
        monkeypatch.setattr(program, "read_mounts", lambda: [_ROOT])
        monkeypatch.setattr(program, "build", lambda *_: self.build())
        monkeypatch.setattr(program, "move", lambda kind, *_: self.done.append(f"move: {kind}"))
        monkeypatch.setattr(program, "clean", lambda _: self.done.append("clean"))

    def note(self) -> str | None:
        """Return why / is unchanged, as other programs read it."""
        return self.unmoved.read_text().strip() if self.unmoved.exists() else None


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Host:
    """Return a stock host in an early boot."""
    return _Host(tmp_path, monkeypatch)


def test_early_boot_moves_the_host(host: _Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.unmoved.write_text("failed\n")
    assert program.main([]) == 0
    assert host.done == ["move: overlay", "clean"]
    assert host.note() is None
    assert capsys.readouterr().out == (
        "nix-root: moved the system to a read-only root directory with /nix (overlay)\n"
        "hint: to undo this: sudo nix-aurora mount disable, and reboot\n"
    )


def test_host_with_nix_needs_nothing(host: _Host) -> None:
    host.has_nix = True
    host.move_now.touch()
    assert program.main([]) == 0
    assert (host.done, host.note(), host.move_now.exists()) == ([], None, False)


@pytest.mark.parametrize("layout", ["namespace", "relocated"])
def test_another_layout_leaves_no_note(host: _Host, layout: str) -> None:
    host.layout = layout
    host.unmoved.write_text("failed\n")
    assert program.main([]) == 0
    assert (host.done, host.note()) == ([], None)


def test_later_start_keeps_the_reason_of_the_boot(host: _Host) -> None:
    host.units = _UP
    assert program.main([]) == 0
    assert host.note() == "late"
    host.unmoved.write_text("failed\n")
    assert program.main([]) == 0
    assert (host.done, host.note()) == ([], "failed")


def test_running_system_is_moved_once_on_request(host: _Host) -> None:
    host.units = _UP
    host.move_now.touch()
    assert program.main([]) == 0
    assert host.done == ["move: overlay", "clean"]
    assert not host.move_now.exists()


def test_host_is_not_moved_after_two_failed_boots(
    host: _Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.pending.write_text("overlay 6.18 first\noverlay 6.18 second\n")
    assert program.main([]) == 0
    assert (host.done, host.note()) == ([], "failed-boots")
    assert capsys.readouterr().out == (
        "nix-root: cannot add /nix to the root directory: the last 2 boots with /nix failed\n"
        "hint: sudo nix-aurora mount enable, and reboot\n"
    )


def test_host_without_a_kind_of_root_left_is_not_moved(host: _Host) -> None:
    host.build = lambda: None
    assert program.main([]) == 0
    assert (host.done, host.note()) == (["clean"], "exhausted")


def _refuse() -> str:
    raise OSError(22, "Invalid argument", "/run/nix-root")


def _find_another() -> str:
    raise CommandError(
        "cannot bind /var into the new root: expected the same directory, got another"
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_refuse, "cannot make a root directory with /nix: /run/nix-root: Invalid argument"),
        (
            _find_another,
            "cannot bind /var into the new root: expected the same directory, got another",
        ),
    ],
)
def test_failure_is_named_and_cleaned_up(
    build: Callable[[], str], message: str, host: _Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.build = build
    assert program.main([]) == 1
    assert host.done == ["clean"]
    assert capsys.readouterr().err == f"nix-root: {message}\nhint: sudo nix-aurora doctor\n"


@pytest.mark.parametrize(("result", "note"), [("success", None), ("signal", "failed")])
def test_cleanup_records_a_failure(
    result: str, note: str | None, host: _Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_RESULT", result)
    monkeypatch.setattr(os.path, "isdir", lambda _: False)  # /nix is missing
    assert program.main(["--clean"]) == 0
    assert (host.done, host.note()) == (["clean"], note)


def test_boots_are_forgotten(host: _Host) -> None:
    boots.add("overlay", "6.18", "first")
    assert forget.main() == 0
    assert not host.pending.exists()
    assert forget.main() == 0


def test_boots_are_forgotten_below_an_overlay_on_etc(
    host: _Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    boots.add("overlay", "6.18", "first")
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(forget, "_uncover_etc", lambda: host.done.append("uncover"))
    assert forget.main() == 0
    assert host.done == ["uncover"]
    assert not host.pending.exists()
