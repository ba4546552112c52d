"""Test finding processes that use the store, and ending those of the daemon for a restore."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from nix_aurora_host import occupants, paths
from nix_aurora_host.database import daemon
from nix_aurora_host.database.daemon import end_processes
from nix_aurora_host.occupants import find_users
from nix_aurora_host.system import Outcome


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory in place of the store; no control group is the daemon's."""
    monkeypatch.setattr(occupants, "_INSIDE", (f"{tmp_path}/",))
    monkeypatch.setattr(occupants, "_control_group", lambda: "")
    return tmp_path


@contextmanager
def _run(program: Path, directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program until the block ends; it has started before the block begins."""
    with subprocess.Popen([program], cwd=directory, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def _cat(directory: Path) -> Path:
    """Return a program in ``directory`` that runs until its input ends."""
    found = shutil.which("cat")
    assert found is not None
    return Path(shutil.copy(os.path.realpath(found), directory / "cat"))


def test_program_of_the_store_uses_it(store: Path) -> None:
    assert list(find_users()) == []
    program = _cat(store)
    with _run(program, Path("/")) as process:
        assert list(find_users()) == [(process.pid, str(program))]


def test_process_in_a_directory_of_the_store_uses_it(store: Path) -> None:
    with _run(Path(sys.executable).resolve(), store) as process:
        assert list(find_users()) == [(process.pid, str(store))]


def test_daemons_own_processes_are_not_users(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _run(_cat(store), Path("/")) as process:
        group = Path(f"/proc/{process.pid}/cgroup").read_text().rstrip("\n").split("::", 1)[-1]
        monkeypatch.setattr(occupants, "_control_group", lambda: group)
        assert list(find_users()) == []


def _answer(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], calls: list[Sequence[str]]
) -> None:
    def run(command: Sequence[str]) -> Outcome:
        calls.append(command)
        shown = next((word for word in command if word.startswith("--property=")), "")
        return Outcome(0, answers.get(shown.removeprefix("--property="), "") + "\n", "")

    monkeypatch.setattr(daemon, "run", run)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the list of processes of a test's control group."""
    (tmp_path / "groups/daemon/build").mkdir(parents=True)
    monkeypatch.setattr(daemon, "_GROUPS", str(tmp_path / "groups"))
    return tmp_path / "groups/daemon/build/cgroup.procs"


def test_programs_of_the_store_in_the_daemons_group_are_ended(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Sequence[str]] = []
    with _run(_cat(tmp_path), Path("/")) as build:
        groups.write_text(f"{build.pid}\n")
        _answer(monkeypatch, {"ControlGroup": "/daemon", "MainPID": "0"}, calls)
        assert end_processes() == 1
        assert build.wait() == -9
    assert not any("stop" in command for command in calls)


def test_main_process_is_stopped_through_systemd(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Sequence[str]] = []
    with _run(_cat(tmp_path), Path("/")) as main:
        groups.write_text(f"{main.pid}\n")
        answers = {"ControlGroup": "/daemon", "MainPID": str(main.pid)}
        _answer(monkeypatch, answers, calls)
        assert end_processes() == 1
        assert main.wait() == -9  # systemd did not stop it
    assert ["systemctl", "stop", paths.DAEMON] in calls


def test_daemon_that_waits_as_a_script_is_kept(
    groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bash = shutil.which("cat")
    assert bash is not None
    with _run(Path(bash), Path("/")) as script:
        groups.write_text(f"{script.pid}\n")
        _answer(monkeypatch, {"ControlGroup": "/daemon", "MainPID": str(script.pid)}, [])
        assert end_processes() == 0
        assert script.poll() is None


def test_nothing_is_ended_without_a_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    _answer(monkeypatch, {}, [])
    assert end_processes() == 0
