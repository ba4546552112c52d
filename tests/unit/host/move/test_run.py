"""Test a move and its undo, without Nix and systemd, with a kill at every step."""

import itertools
import os
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nix_aurora_host import base_mount, cli, disk, mounts, paths, replace
from nix_aurora_host.adopt import fstab, trusted, units
from nix_aurora_host.commands import move as command
from nix_aurora_host.database import sqlite
from nix_aurora_host.importer import syscalls
from nix_aurora_host.mounts import Mount
from nix_aurora_host.move import copy, plan, run
from nix_aurora_host.system import Outcome

from tests.torture import chosen
from tests.unit.host.adopt.stores import listing
from tests.unit.host.nix_database import A, B, make_nix

_KILLED = 9


class Disk:
    """A host with a store, and with an empty disk that is mounted on ``new``.

    The kernel mounts nothing here. Instead, a mount renames the directory of the mount point to a
    name beside it, and then renames the disk to the mount point.
    """

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.base, self.new, self.off = top / "nix", top / "new", top / "disk"
        self.before = top / "nix.before-move"
        self.fstab = top / "fstab"
        self.line = f"LABEL=nix {self.new} btrfs nofail 0 0\n"
        self.busy: set[str] = set()
        self.fstab.write_text(f"LABEL=root / btrfs\n{self.line}")
        nix = make_nix(self.base, monkeypatch)
        (nix.state / "daemon-socket").mkdir()
        (self.base / "run").rmdir()
        monkeypatch.setattr(paths, "RECOVERY", str(top / "recovery"))
        for name in (A, B):
            nix.add(name)
        nix.make_database([A, B], [(B, A)])
        self.off.mkdir()
        self.mount(self.new)
        self.patch(monkeypatch)

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Point the command at this host."""
        monkeypatch.setattr(paths, "BASE", str(self.base))
        monkeypatch.setattr(paths, "AT", str(self.base.parent / "shown"))
        monkeypatch.setattr(paths, "ADOPTION", str(self.base.parent / "adopt"))
        monkeypatch.setattr(run, "_CHECKED", (paths.STORE, paths.DATABASE))
        monkeypatch.setattr(run, "_PATIENCE", 0)
        monkeypatch.setattr(fstab, "FILE", str(self.fstab))
        for module in (plan, run, command):
            monkeypatch.setattr(module, "BEFORE", str(self.before))
        for module in (base_mount, plan, run):
            monkeypatch.setattr(module, "read_mounts", self.table)
        monkeypatch.setattr(mounts, "read_table", lambda: "")
        monkeypatch.setattr(base_mount, "is_expected", lambda: f" {self.base} " in self.lines())
        monkeypatch.setattr(trusted, "require_trusted", lambda _: None)
        monkeypatch.setattr("nix_aurora_host.occupants.find_users", lambda *_: [])
        monkeypatch.setattr(units, "stop", frozenset)
        monkeypatch.setattr(units, "start", lambda _: None)
        monkeypatch.setattr(run, "run", self.run)
        monkeypatch.setattr(syscalls, "sync", lambda _: None)
        monkeypatch.setattr(disk, "sync", lambda _: None)
        monkeypatch.setattr(replace, "sync", lambda _: None)

    def lines(self) -> str:
        """Return the lines of fstab without its comments."""
        text = self.fstab.read_text().splitlines()
        return "\n".join(line for line in text if not line.startswith("#"))

    def table(self) -> list[Mount]:
        """Return the current mounts of the disk."""
        return [Mount(str(point)) for point in (self.base, self.new) if self._below(point).exists()]

    @staticmethod
    def _below(point: Path) -> Path:
        return point.with_name(f"{point.name}.below")

    def mount(self, point: Path) -> None:
        """Simulate a mount of the disk."""
        point.mkdir(exist_ok=True)
        point.rename(self._below(point))
        self.off.rename(point)

    def unmount(self, point: Path) -> None:
        """Simulate an unmount of the disk."""
        point.rename(self.off)
        self._below(point).rename(point)

    def run(self, words: list[str], **_: object) -> Outcome:
        """Simulate the programs that mount and unmount; ignore the others."""
        if words[0] == "umount":
            if words[1] in self.busy:
                return Outcome(32, "", f"umount: {words[1]}: target is busy.")
            self.unmount(Path(words[1]))
        if words[0] == "mount" or base_mount.UNIT in words:
            point = self.base if base_mount.UNIT in words else Path(words[1])
            if f" {point} " in self.lines() and self.off.exists():
                self.mount(point)
        return Outcome(0, "", "")

    def boot(self) -> None:
        """Simulate a power cut, and a boot that mounts the disk as fstab says."""
        for mount in self.table():
            self.unmount(Path(mount.point))
        for point in (self.base, self.new):
            if f" {point} " in self.lines():
                self.mount(point)

    def do(self, *words: str) -> int:
        """Run nix-aurora move, and return its exit code."""
        return cli.main(["move", "--yes", *words])


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Return a host with a store and an empty disk."""
    return Disk(tmp_path, monkeypatch)


def _store(host: Disk) -> dict[str, str]:
    """Return the content of the store directory, without Nix's state beside it."""
    found = listing(host.base)
    return {name: what for name, what in found.items() if name.startswith("store")}


def _check_database(host: Disk) -> None:
    assert sqlite.check_live(f"{host.base}/var/nix/db/db.sqlite") is None


def test_undo_restores_the_state_before_the_move(
    host: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _store(host)
    assert host.do(str(host.new)) == 0
    said = capsys.readouterr()
    assert f"rm -r --one-file-system {host.before}" in said.err
    assert "knows 2 store paths" in said.out
    assert _store(host) == before
    assert [mount.point for mount in host.table()] == [str(host.base)]
    assert f"# nix-aurora move: {host.line}LABEL=nix {host.base} btrfs" in host.fstab.read_text()
    assert (host.before / "store" / A).is_dir()
    assert host.do("--undo") == 0
    assert _store(host) == before
    assert host.fstab.read_text().endswith(f"\n{host.line}")
    assert [mount.point for mount in host.table()] == [str(host.new)]
    assert not host.before.exists()


def _kill_at(number: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Return a patch that ends this process at a point; each step has one before and one after."""
    left = [number]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os._exit(_KILLED)

    def step(change: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*words: Any, **more: Any) -> Any:  # noqa: ANN401 - arguments of any step
            count()
            done = change(*words, **more)
            count()
            return done

        return stepped

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for module, name in (
            (run, "run"),
            (replace, "edit"),
            (copy, "copy"),
            (syscalls, "rename_new"),
            (os, "unlink"),
        ):
            monkeypatch.setattr(module, name, step(getattr(module, name)))

    return patch


def _killed(host: Disk, number: int, *words: str) -> bool:
    """Run the command in a process that ends at a point; return whether it reached the point."""
    child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as monkeypatch:
            _kill_at(number)(monkeypatch)
            os._exit(host.do(*words))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, _KILLED}
    return code == _KILLED


@pytest.mark.parametrize("boots", chosen([True, False]))
def test_move_killed_at_any_step_loses_nothing(host: Disk, boots: bool, tmp_path: Path) -> None:
    before, saved = _store(host), tmp_path.with_name(f"{tmp_path.name}-saved")
    shutil.copytree(tmp_path, saved, symlinks=True)
    for number in itertools.count(1):
        killed = _killed(host, number, str(host.new))
        if killed and boots:
            host.boot()
        elif killed and base_mount.is_missing():  # apply doctor's fix
            host.run(["systemctl", "start", base_mount.UNIT])
            if not host.off.exists() and base_mount.is_missing():
                host.boot()
        assert _store(host) == before, number
        _check_database(host)
        if (killed and not host.before.exists()) or run.is_unfinished():
            assert host.do(str(host.new)) == 0, number
        assert _store(host) == before, number
        assert (host.before / "store" / A).is_dir(), number
        assert host.do("--undo") == 0, number
        assert _store(host) == before, number
        shutil.rmtree(tmp_path)
        shutil.copytree(saved, tmp_path, symlinks=True)
        if not killed:
            break
    assert number > 10


def test_undo_killed_at_any_step_loses_nothing(host: Disk, tmp_path: Path) -> None:
    before, saved = _store(host), tmp_path.with_name(f"{tmp_path.name}-saved")
    host.do(str(host.new))
    shutil.copytree(tmp_path, saved, symlinks=True)
    for number in itertools.count(1):
        killed = _killed(host, number, "--undo")
        host.boot()
        assert _store(host) == before, number
        _check_database(host)
        shutil.rmtree(tmp_path)
        shutil.copytree(saved, tmp_path, symlinks=True)
        if not killed:
            break
    assert number > 6


def _refused(host: Disk, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the message of a refusal that changes nothing."""
    before, text = _store(host), host.fstab.read_text()
    capsys.readouterr()
    assert host.do(*words) == 1
    assert (_store(host), host.fstab.read_text()) == (before, text)
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("hint: ")
    return said[-2]


def test_unsuitable_disk_or_host_is_refused(host: Disk, capsys: pytest.CaptureFixture[str]) -> None:
    new = str(host.new)
    (host.new / "file").touch()
    assert "expected an empty file system, got file" in _refused(host, capsys, new)
    (host.new / "file").unlink()
    host.fstab.write_text("")
    assert f"expected one line that mounts {new}, got 0" in _refused(host, capsys, new)
    host.fstab.write_text(f"{host.line}LABEL=x {host.base} ext4\n")
    host.run(["systemctl", "start", base_mount.UNIT])
    assert "its file system is not mounted" in _refused(host, capsys, new)
    host.fstab.write_text(host.line)
    assert "expected a mount point" in _refused(host, capsys, str(host.base))
    host.before.mkdir()
    assert f"a former move has left {host.before}" in _refused(host, capsys, new)
    host.before.rmdir()
    (host.base.parent / "adopt").mkdir()
    assert "a takeover is not complete" in _refused(host, capsys, new)
    (host.base.parent / "adopt").rmdir()
    assert "cannot move the store back: " in _refused(host, capsys, "--undo")
    assert host.do("--dry-run", new) == 0
    assert host.do("--dry-run", "--undo") == 0
    assert not list(host.new.iterdir())


@pytest.mark.parametrize(
    ("flag", "message"),
    [(os.ST_RDONLY, "it is mounted with ro"), (os.ST_NOEXEC, "it is mounted with noexec")],
)
def test_unsuitable_mount_options_and_lack_of_space_are_refused(
    host: Disk,
    flag: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look = os.statvfs
    changed = {"f_flag": flag, "f_bavail": 0, "f_frsize": 1}
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**changed))
    assert message in _refused(host, capsys, str(host.new))
    changed["f_flag"] = 0
    assert "of free space, got 0 B" in _refused(host, capsys, str(host.new))
    monkeypatch.setattr(os, "statvfs", look)


def test_busy_store_is_not_moved(host: Disk, capsys: pytest.CaptureFixture[str]) -> None:
    host.busy.add(str(host.new))
    assert "target is busy" in _refused(host, capsys, str(host.new))
    assert host.do(str(host.new)) == 1  # this run removes the first copy, and copies again
    host.busy.clear()
    assert host.do(str(host.new)) == 0
    host.busy.add(str(host.base))
    assert "target is busy" in _refused(host, capsys, "--undo")


def test_damaged_path_or_database_is_not_moved(
    host: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    program = host.base / "store" / A / "bin/program"
    program.chmod(0o755)
    program.write_bytes(b"damaged")
    message = _refused(host, capsys, str(host.new))
    assert f"1 store paths differ from what the database has recorded: {A}" in message
    database = host.base / "var/nix/db/db.sqlite"
    for log in host.base.glob("var/nix/db/db.sqlite-*"):
        log.unlink()
    database.write_bytes(b"no database" * 1000)
    assert f"{database}: " in _refused(host, capsys, "--no-check", str(host.new))
    database.unlink()  # as before a first import
    assert host.do(str(host.new)) == 0


def test_move_that_was_killed_after_the_switch_is_finished(
    host: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _store(host)
    host.do(str(host.new))
    (host.base / ".nix-aurora-move").touch()
    assert host.do("--dry-run", str(host.base)) == 0
    assert "A move was interrupted." in capsys.readouterr().err
    assert host.do(str(host.base)) == 0
    assert not (host.base / ".nix-aurora-move").exists()
    assert _store(host) == before


def test_move_needs_root_and_a_terminal_for_its_question(
    host: Disk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("yes\n"))
    assert cli.main(["move", str(host.new)]) == 2
    assert f"hint: sudo nix-aurora move {host.new} --yes\n" in capsys.readouterr().err
    monkeypatch.setattr(command, "require_terminal", lambda *_: None)
    monkeypatch.setattr("sys.stdin", StringIO("no\nno\n"))
    assert cli.main(["move", str(host.new)]) == 1
    assert cli.main(["move", "--undo"]) == 1
    assert "move: nothing was changed" in capsys.readouterr().err
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["move", "--undo"]) == 2
    assert "hint: sudo nix-aurora move --undo\n" in capsys.readouterr().err
