"""Test the host's helpers that change and read files."""

import os
import sys
import tempfile
import time
from pathlib import Path

import pytest
from nix_aurora_host import paths, removal, system


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory in place of /var/lib/nix."""
    monkeypatch.setattr(paths, "SHOWN", str(tmp_path))
    monkeypatch.setattr(paths, "STORE", f"{tmp_path}/store")
    return tmp_path


def test_links_into_the_store_are_followed_below_the_base(base: Path) -> None:
    program = base / "store" / "x" / "bin" / "nix"
    program.parent.mkdir(parents=True)
    program.touch()
    (base / "profile-1-link").symlink_to("/nix/store/x")
    (base / "profile").symlink_to("profile-1-link")
    (base / "store" / "y").symlink_to("../store/./x")
    assert system.resolve(f"{base}/profile/bin/nix") == str(program)
    assert system.resolve("/nix/store/y/bin/../bin/nix") == str(program)


def test_broken_links_are_none(base: Path) -> None:
    (base / "gone").symlink_to("/nix/store/gone")
    (base / "loop").symlink_to("loop")
    for name in ("gone", "loop", "loop/x", "none", "none/x"):
        assert system.resolve(f"/nix/{name}") is None


def test_commands_are_stopped_after_a_time() -> None:
    assert system.run(["sleep", "5"], timeout=0.1).code == system.TIMED_OUT
    assert system.run(["/nowhere/program"]).code == system.NOT_STARTED
    assert system.run(["sh", "-c", "echo $HOME$X; exit 3"], environment={"X": "x"}) == (
        system.Outcome(3, "x\n", "")
    )


def test_commands_with_endless_output_are_stopped() -> None:
    start = time.monotonic()
    for command in ("cat /dev/zero", "cat /dev/zero >&2", "yes | cat"):
        outcome = system.run(["sh", "-c", command], limit=1 << 20)
        assert outcome.code == system.TOO_MUCH
        assert len(outcome.stdout) == 0
    assert time.monotonic() - start < 10


def test_children_of_a_command_are_stopped_with_it() -> None:
    pid_then_wait = "sleep 60 & echo $! >&2; echo $! >{}; wait"
    with tempfile.NamedTemporaryFile("r") as file:
        outcome = system.run(["sh", "-c", pid_then_wait.format(file.name)], timeout=0.5)
        assert outcome.code == system.TIMED_OUT
        pid = int(file.read())
    deadline = time.monotonic() + 10
    while _is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def test_command_that_closes_its_output_is_still_stopped() -> None:
    assert system.run(["sh", "-c", "exec >&- 2>&-; sleep 9"], timeout=0.2).code == system.TIMED_OUT
    assert system.run(["sh", "-c", "exec >&- 2>&-; exit 4"]).code == 4


def test_memory_is_limited() -> None:
    script = "x = bytearray(1 << 30)"
    assert system.run([sys.executable, "-c", script], memory=512 << 20).code == 1
    assert system.run([sys.executable, "-c", "x = 1"], memory=512 << 20).code == 0


def test_unreadable_file_differs_from_a_missing_one(tmp_path: Path) -> None:
    assert system.names(str(tmp_path / "none")) == ()
    (tmp_path / "file").touch()
    assert system.names(str(tmp_path / "file")) is None
    assert system.read(str(tmp_path)) is None


def test_tree_is_removed_without_following_links(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    tree = tmp_path / "tree"
    (tree / "store" / "path" / "bin").mkdir(parents=True)
    (tree / "store" / "path" / "bin" / "program").touch()
    (tree / "link").symlink_to(precious)
    (tree / "store" / "path" / "link").symlink_to(precious / "file")
    os.mkfifo(tree / "pipe")
    for path in ("store/path/bin", "store/path"):
        (tree / path).chmod(0o555)
    removal.empty(str(tree))
    assert list(tree.iterdir()) == []
    assert (precious / "file").exists()
    (tmp_path / "way").symlink_to(precious)
    with pytest.raises(NotADirectoryError):
        removal.empty(str(tmp_path / "way"))
    assert (precious / "file").exists()


def test_deep_tree_is_removed(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):  # deeper than Python's recursion limit, and longer than a path may be
        os.mkdir("directory", dir_fd=here)
        inner = os.open("directory", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    assert removal.measure(str(tmp_path)) >= 0
    removal.empty(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_hard_links_are_measured_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    once = removal.measure(str(tmp_path))
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    (tmp_path / "link").symlink_to("/")
    assert removal.measure(str(tmp_path)) - once < 8192
