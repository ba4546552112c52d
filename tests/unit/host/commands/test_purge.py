"""Test that purge checks before it removes, follows no links, and can be killed at any point."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from nix_aurora_host import cli, mounts, occupants, paths, removal, units
from nix_aurora_host.collection import switch
from nix_aurora_host.commands import purge
from nix_aurora_host.errors import CommandError
from nix_aurora_host.gather.host import Host
from nix_aurora_host.gpu import place
from nix_aurora_host.report.purge import how_to_remove, tell_what_next
from nix_aurora_host.system import Outcome

_REMOVE = """
import sys
from nix_aurora_host import removal
try:
    removal.empty(sys.argv[1], ("store",))
except removal.CrossingError as error:
    print(error.filename)
"""


def test_mounts_inside_the_store_are_found() -> None:
    line = "36 35 98:0 / {} rw,noatime master:1 - ext4 /dev/root rw\n"
    points = (
        *("/", "/nix", "/var/lib/nix", "/var/lib/nixos/x", "/nixos", "/var/lib/nix/store"),
        *("/run/nix/store", "/run/nix/store/x", "/nix/x", r"/nix/a\040b\012\134\033"),
    )
    text = "".join(map(line.format, points))
    assert occupants.find_mounts(text) == [
        *("/nix/a b\n\\\x1b", "/nix/x", "/run/nix/store/x", "/var/lib/nix/store"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0::/system.slice/nix-daemon.service\n", True),
        ("0::/system.slice/nix-daemon.service/build\n", True),
        ("0::/user.slice/x/system.slice/nix-daemon.service\n", False),
        ("0::/system.slice/nix-daemon.service-2\n", False),
        ("0::/x\n0::/system.slice/nix-daemon.service\n", False),
        ("", False),
    ],
)
def test_only_the_daemons_own_processes_are_ignored(text: str, expected: bool) -> None:
    """A user may create control groups of any name below their own."""
    assert occupants.is_in_group(text, "/system.slice/nix-daemon.service") == expected
    assert not occupants.is_in_group(text, "")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an unused directory in place of /var/lib/nix; the caller is root."""
    base = tmp_path / "base"
    (base / "store").mkdir(parents=True)
    monkeypatch.setattr(purge, "_BASE", base)
    monkeypatch.setattr(paths, "BASE", str(base))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(mounts, "read_table", lambda: "")
    monkeypatch.setattr(occupants, "find_users", lambda: [])
    return base


def _refuse_to_stop() -> None:
    pytest.fail("purge stopped Nix")


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if purge stops Nix."""
    monkeypatch.setattr(purge, "_stop", _refuse_to_stop)


@pytest.mark.usefixtures("running")
def test_link_is_refused_before_anything_is_stopped(base: Path) -> None:
    other = base.with_name("disk\x1b[2J")
    base.rename(other)
    base.symlink_to(other)
    with pytest.raises(CommandError, match="got a link to ") as caught:
        purge.purge(yes=True, dry_run=False)
    assert caught.value.message.isprintable()
    assert (other / "store").is_dir()


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("look", "hint"),
    [
        (
            (
                mounts,
                "read_table",
                lambda: "1 1 0:1 / /nix/store/x\\040\\033 rw - tmpfs tmpfs rw\n",
            ),
            r"sudo umount $'/nix/store/x \x1b'",
        ),
        ((occupants, "find_users", lambda: [(7, "/nix/store/x\n\x1b]0;t\x07")]), "sudo kill 7"),
    ],
)
def test_purge_checks_again_after_the_answer(
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    look: tuple[ModuleType, str, Callable[[], object]],
    hint: str,
) -> None:
    def confirm(what: str) -> bool:
        monkeypatch.setattr(*look)
        return what == "remove it"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(purge, "confirm", confirm)
    with pytest.raises(CommandError, match="nothing was changed") as caught:
        purge.purge(yes=False, dry_run=False)
    assert caught.value.message.isprintable()
    assert caught.value.hint == hint
    assert all(line.isprintable() for line in capsys.readouterr().err.splitlines())
    assert (base / "store").is_dir()


@pytest.mark.parametrize(
    ("host", "how"),
    [
        (Host(True, True, True, False), "sudo rpm-ostree uninstall nix-aurora"),
        (Host(True, True, False, False), "build the image without it, then: sudo bootc upgrade"),
        (Host(True, False, False, False), "build the image without it, then: sudo bootc upgrade"),
        (Host(False, False, False, True), "sudo dnf remove nix-aurora"),
    ],
)
def test_purge_names_the_command_that_removes_the_package(host: Host, how: str) -> None:
    assert how_to_remove(host) == how


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the started units, on a host whose mount, socket and timer run."""
    calls: list[str] = []
    running = {paths.MOUNT, paths.SOCKET, paths.BACKUP_TIMER}

    def answer(words: list[str]) -> Outcome:
        assert words[:2] == ["systemctl", "is-active"]
        states = ("active" if unit in running else "inactive" for unit in words[2:])
        return Outcome(3, "\n".join(states) + "\n", "")

    def note(*words: str) -> None:
        if words[0] == "start":
            calls.append(" ".join(words[1:]))

    monkeypatch.setattr(purge, "run", answer)
    monkeypatch.setattr(purge, "_systemctl", note)
    return calls


def test_purge_restarts_what_it_stopped(
    base: Path, monkeypatch: pytest.MonkeyPatch, started: list[str]
) -> None:
    """After a refusal, purge starts all units that ran; after a removal, only the timer."""
    mount = f"1 1 0:1 / {base}/store rw - tmpfs tmpfs rw\n"
    monkeypatch.setattr(
        purge, "_unmount", lambda: monkeypatch.setattr(mounts, "read_table", lambda: mount)
    )
    monkeypatch.setattr(occupants, "_INSIDE", (f"{base}/",))
    with pytest.raises(CommandError, match="nothing was removed, and Nix is started again"):
        purge.purge(yes=True, dry_run=False)
    assert started.pop() == f"{paths.MOUNT} {paths.SOCKET} {paths.BACKUP_TIMER}"
    assert (base / "store").is_dir()
    monkeypatch.setattr(purge, "_unmount", lambda: None)
    monkeypatch.setattr(mounts, "read_table", lambda: "")
    assert purge.purge(yes=True, dry_run=False) == 0
    assert not base.exists()
    assert started == [paths.BACKUP_TIMER]


@pytest.mark.usefixtures("started")
def test_purge_switches_the_weekly_collection_off(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, its link in /etc would be broken once an image lacks the package."""
    off: list[bool] = []
    monkeypatch.setattr(purge, "_unmount", lambda: None)
    monkeypatch.setattr(mounts, "read_table", lambda: "")
    monkeypatch.setattr(occupants, "_INSIDE", (f"{base}/",))
    monkeypatch.setattr(switch, "is_on", lambda: True)
    monkeypatch.setattr(switch, "turn_off", lambda: off.append(not base.exists()))
    assert purge.purge(yes=True, dry_run=False) == 0
    assert off == [True]


def test_purge_knows_every_unit_of_the_package() -> None:
    assert {*purge._STOPPED, *purge._STARTED} == set(units.UNITS)


@pytest.mark.usefixtures("started")
def test_purge_checks_again_after_stopping(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = f"1 1 0:1 / {base}/store rw - tmpfs tmpfs rw\n"
    monkeypatch.setattr(
        purge, "_stop", lambda: monkeypatch.setattr(mounts, "read_table", lambda: mount)
    )
    monkeypatch.setattr(occupants, "_INSIDE", (f"{base}/",))
    with pytest.raises(CommandError, match="nothing was removed, and Nix is started again"):
        purge.purge(yes=True, dry_run=False)
    assert (base / "store").is_dir()


def test_mount_of_the_same_file_system_is_refused(tmp_path: Path) -> None:
    """A bind mount has the same st_dev as its file system, so st_dev cannot reveal it."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    inside = tmp_path / "base" / "store" / "x" / "bound"
    inside.mkdir(parents=True)
    script = 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$5"'
    words = (tmp_path / "precious", inside, sys.executable, _REMOVE, tmp_path / "base")
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.rstrip("\n").endswith("/store/x/bound")
    assert (tmp_path / "precious" / "file").exists()


class _KilledError(Exception):
    """The simulated end of the process."""


def test_killed_removal_leaves_no_half_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stamp, the database and the store are renamed in this order, each as a whole."""
    calls = {name: getattr(os, name) for name in ("rename", "unlink", "rmdir", "mkdir", "fsync")}
    for after in range(200):
        base = tmp_path / str(after)
        wholes = {
            ".nix-aurora": (".nix-aurora/imported",),
            "var": ("var/nix/db/db.sqlite", "var/nix/db/db.sqlite-wal"),
            "store": ("store/a", "store/b"),
        }
        for name in (name for group in wholes.values() for name in group):
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).touch()
        left = after

        def counted(name: str) -> Callable[..., object]:
            def call(*words: object, **options: object) -> object:
                nonlocal left
                left -= 1
                if left < 0:
                    raise _KilledError
                return calls[name](*words, **options)

            return call

        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(os, name, counted(name))
            try:
                removal.empty(str(base), purge._FIRST)
            except _KilledError:
                killed = True
            else:
                killed = False
        there = [all((base / name).exists() for name in group) for group in wholes.values()]
        gone = [not (base / name).exists() for name in wholes]
        assert all(whole or empty for whole, empty in zip(there, gone, strict=True))
        assert there == sorted(there), "expected the stamp to be removed first, and the store last"
        removal.empty(str(base), purge._FIRST)
        assert list(base.iterdir()) == []
        if not killed:
            return
    pytest.fail("expected an end within 200 calls")


# --- refusals and messages


def test_store_in_use_is_kept(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(occupants, "find_users", lambda: [(7, "/nix/store/a"), (8, "/nix/b\n")])
    assert cli.main(["purge", "--yes"]) == 1
    error = capsys.readouterr().err
    assert "  process 8: /nix/b\\n\n" in error
    assert "2 processes use it; nothing was changed" in error
    assert error.endswith("hint: sudo kill 7 8\n")
    assert base.exists()


def test_answer_other_than_yes_removes_nothing(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert cli.main(["purge"]) == 1
    assert capsys.readouterr().err.endswith("Type yes to remove it: purge: nothing was removed\n")
    assert base.exists()


def test_dry_run_lists_what_is_kept(
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "home/.config/nix").mkdir(parents=True)
    entry = SimpleNamespace(pw_dir=f"{tmp_path}/home")
    monkeypatch.setattr("pwd.getpwall", lambda: [entry, entry])
    assert cli.main(["purge", "--dry-run"]) == 0
    error = capsys.readouterr().err
    assert error.startswith(f"{base}: ")
    assert error.endswith(f"Files of users, which are kept:\n  {tmp_path}/home/.config/nix\n")
    monkeypatch.setattr(purge, "_BASE", tmp_path / "none")
    assert cli.main(["purge", "--dry-run"]) == 0
    assert f"{tmp_path}/none: no such directory\n" in capsys.readouterr().err


def test_units_of_nix_are_stopped_in_dependency_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[list[str]] = []
    done = subprocess.CompletedProcess(["systemctl"], 0, b"", b"")

    def run(command: list[str], **_options: object) -> "subprocess.CompletedProcess[bytes]":
        calls.append(command[2:])
        return done

    monkeypatch.setattr(subprocess, "run", run)
    purge._stop()
    assert [call[0] for call in calls] == ["stop", "stop", "kill", "stop", "reset-failed"]
    assert calls[1] == ["stop", paths.SOCKET]
    assert calls[3][1:] == list(purge._STOPPED)


def test_store_that_stays_mounted_is_an_error_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "_PATIENCE", 0.0)
    monkeypatch.setattr(purge, "_SHOWN", (Path("/proc"), tmp_path / "none"))
    failed = subprocess.CompletedProcess(["umount"], 32, "", "umount: /proc: target is busy.\n")
    monkeypatch.setattr(subprocess, "run", lambda *_words, **_options: failed)
    with pytest.raises(CommandError, match=r"target is busy\.; nothing was removed"):
        purge._unmount()


def test_part_that_cannot_be_removed_is_an_error_message(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, _first: object) -> None:
        raise OSError(5, "Input/output error", f"{path}/store")

    def cross(path: str, _first: object) -> None:
        raise removal.CrossingError(18, "mounted", f"{path}/m n")

    monkeypatch.setattr(removal, "empty", refuse)
    with pytest.raises(CommandError, match="Input/output error; a part of the store was removed"):
        purge._remove()
    monkeypatch.setattr(removal, "empty", cross)
    with pytest.raises(CommandError, match="something is mounted there") as caught:
        purge._remove()
    assert caught.value.hint == f"sudo umount '{base}/m n' && sudo nix-aurora purge"


def test_link_to_graphics_drivers_is_removed_with_the_store(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ["/run/opengl-driver"]
    monkeypatch.setattr(place, "find_made", lambda: made)
    assert cli.main(["purge", "--dry-run"]) == 0
    assert "/run/opengl-driver: would be removed\n" in capsys.readouterr().err
    monkeypatch.setattr(place, "disable", lambda: made)
    purge._remove()
    assert capsys.readouterr().err == f"{base}: removed\n/run/opengl-driver: removed\n"

    def refuse() -> list[str]:
        raise OSError(30, "Read-only file system", "/etc/tmpfiles.d/x")

    monkeypatch.setattr(place, "disable", refuse)
    with pytest.raises(CommandError, match="Read-only file system; the store was removed"):
        purge._remove()


def test_empty_mount_point_is_removed_if_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mount_point = tmp_path / "nix"
    mount_point.mkdir()
    monkeypatch.setattr(purge, "_NIX", mount_point)
    monkeypatch.setattr(purge, "names", lambda _path: ())
    purge._remove_mount_point()
    assert not mount_point.exists()
    monkeypatch.setattr(purge, "_NIX", Path("/proc/sys/fs"))  # a directory that nobody can remove
    purge._remove_mount_point()
    assert capsys.readouterr().err.endswith("/nix: empty; the image contains it, so it is kept\n")


def test_purge_explains_the_next_import_while_the_package_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "PACKAGE", str(tmp_path))
    tell_what_next(["nix-setup.service"])
    assert capsys.readouterr().err == ""
    (tmp_path / "closure.json").touch()
    host = Host(image=False, ostree=False, layered=False, root_writable=True)
    monkeypatch.setattr("nix_aurora_host.report.purge.gather_host", lambda **_options: host)
    tell_what_next(["nix-setup.service"])
    error = capsys.readouterr().err
    assert "  sudo systemctl start nix-setup.service\n" in error
    assert "To remove the package: sudo dnf remove nix-aurora." in error
