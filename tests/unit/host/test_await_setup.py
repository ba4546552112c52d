"""Test a nix command while Nix is not set up: it waits, starts, or says why it cannot."""

import os
import signal
import time
from pathlib import Path

import pytest
from nix_aurora_host import await_setup, layouts, paths
from nix_aurora_host.await_setup import explain, is_ready, is_shown, parse_state
from nix_aurora_host.system import Outcome

_NIX = "/nix/store/0123-nix-2.34"
_PROGRAM = f"{_NIX}/bin/nix"
_MOUNT = {"layout": "mount", "store": "/nix/store"}
_NAMESPACE = {"layout": "namespace", "store": "/nix/store"}


class _StartedError(Exception):
    """Raised in place of starting the program."""


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ("LoadState=loaded\nActiveState=activating\n", "activating"),
        ("LoadState=loaded\nActiveState=inactive\nJob=42\n", "activating"),
        ("LoadState=masked\nActiveState=inactive\nJob=7\n", "activating"),
        ("LoadState=masked\nActiveState=inactive\nJob=0\n", "masked"),
        ("LoadState=loaded\nActiveState=failed\n", "failed"),
        ("ActiveState=active\nConditionResult=yes\n", "active"),
        ("ActiveState=inactive\nConditionResult=no\nConditionTimestampMonotonic=5\n", "active"),
        ("ActiveState=inactive\nConditionResult=no\nConditionTimestampMonotonic=0\n", "inactive"),
        ("ActiveState=inactive\nConditionResult=yes\nConditionTimestampMonotonic=5", "inactive"),
        ("", ""),
    ],
)
def test_first_relevant_state_is_reported(shown: str, state: str) -> None:
    assert parse_state(shown) == state


@pytest.mark.parametrize(
    ("state", "message", "hint"),
    [
        ("failed", "setting up Nix has failed.", "journalctl -u nix-setup.service"),
        ("masked", "is masked.", "sudo systemctl unmask nix-setup.service"),
        ("active", f"{_PROGRAM} is missing", "sudo systemctl restart nix-setup.service"),
        ("inactive", "Nix is not set up yet.", "sudo systemctl start nix-setup.service"),
        ("", "Nix is not set up yet.", "sudo systemctl start nix-setup.service"),
    ],
)
def test_each_state_has_its_message(state: str, message: str, hint: str) -> None:
    said, *hints = explain(_PROGRAM, state, shown=True)
    assert message in said
    assert hints[0] == hint


def test_unmounted_store_is_the_first_reason() -> None:
    said, hint = explain(_PROGRAM, "active", shown=False)
    assert said == "Nix is set up, but /nix is not its store."
    assert hint == "sudo systemctl restart nix.mount"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of an empty store."""
    monkeypatch.setattr(paths, "BASE", str(tmp_path))
    return tmp_path / "store"


def test_namespace_layout_needs_only_the_store_path(store: Path) -> None:
    assert not is_ready(_PROGRAM, _NAMESPACE)
    (store / "0123-nix-2.34").mkdir(parents=True)
    assert is_ready(_PROGRAM, _NAMESPACE)
    assert not is_ready(_PROGRAM, _MOUNT)


def test_mount_layout_needs_the_program_in_place(store: Path, tmp_path: Path) -> None:
    program = tmp_path / "nix"
    assert not is_ready(str(program), _MOUNT)
    program.touch(mode=0o755)
    assert is_ready(str(program), _MOUNT)


def test_relocated_store_needs_the_last_file_of_the_import(tmp_path: Path) -> None:
    layout = {"layout": "relocated", "store": "/run/nix/store", "home": str(tmp_path)}
    assert not is_ready(_PROGRAM, layout)
    (tmp_path / "closure").mkdir()
    (tmp_path / "closure/closure").touch()
    assert is_ready(_PROGRAM, layout)
    assert is_shown(_PROGRAM, layout)


def test_store_counts_as_unmounted_if_nix_lacks_its_path(store: Path) -> None:
    assert is_shown(_PROGRAM, _MOUNT)
    (store / "0123-nix-2.34").mkdir(parents=True)
    assert not is_shown(_PROGRAM, _MOUNT)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the states that systemd reports, one after another; the last one repeats."""
    states = ["ActiveState=inactive"]

    def show(_: list[str]) -> Outcome:
        return Outcome(0, states.pop(0) if len(states) > 1 else states[0], "")

    def start(path: str, words: list[str]) -> None:
        raise _StartedError(path, words)

    recovery = tmp_path / "recovery"
    recovery.write_text("checking 5 of 9\n", encoding="utf-8")
    monkeypatch.setattr(await_setup, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(await_setup, "_RECOVERY", recovery)
    monkeypatch.setattr(await_setup, "run", show)
    monkeypatch.setattr(layouts, "read_chosen", lambda: _MOUNT)
    monkeypatch.setattr(os, "execv", start)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return states


def test_command_waits_and_then_starts(
    system: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = tmp_path / "bin/nix"
    program.parent.mkdir()
    system[:] = ["ActiveState=activating"] * 3 + ["ActiveState=active"]

    def arrive(_: float) -> None:
        if len(system) == 1:
            program.touch(mode=0o755)

    monkeypatch.setattr(time, "sleep", arrive)
    with pytest.raises(_StartedError) as started:
        await_setup.main(str(program), ["--version"])
    command = "/usr/libexec/nix-aurora/start-nix"
    assert started.value.args == (command, [command, str(program), "--version"])
    waiting, progress = capsys.readouterr().err.splitlines()
    assert waiting.startswith("nix: waiting for nix-setup.service, which is setting up Nix")
    assert progress == "nix: checking 5 of 9"


def test_command_that_appears_at_the_last_moment_starts(system: list[str], tmp_path: Path) -> None:
    program = tmp_path / "nix"
    program.touch(mode=0o755)
    with pytest.raises(_StartedError):
        await_setup.main(str(program), [])


def test_command_says_why_it_cannot_start(
    system: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    system[:] = ["ActiveState=failed"]
    assert await_setup.main(_PROGRAM, []) == 1
    assert capsys.readouterr().err.splitlines() == [
        "nix: setting up Nix has failed.",
        "hint: journalctl -u nix-setup.service",
        "hint: sudo systemctl restart nix-setup.service",
    ]


def test_command_does_not_wait_without_a_running_system(
    system: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(await_setup, "_SYSTEMD", tmp_path / "none")
    assert await_setup.main(_PROGRAM, []) == 1
    said = capsys.readouterr().err
    assert said.startswith("nix: Nix is set up at boot by systemd, which is not running here.")
