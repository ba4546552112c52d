"""Test the questions, the order of steps, and the refusals of nix-aurora set-aside."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from nix_aurora_host import occupants
from nix_aurora_host.commands import set_aside as command
from nix_aurora_host.errors import FAILED, USAGE, CommandError
from nix_aurora_host.former import revive
from nix_aurora_host.former.aside import Aside
from nix_aurora_host.former.facts import Former
from nix_aurora_host.former.gather import find_former
from nix_aurora_host.former.tree import Tree
from nix_aurora_host.system import Outcome

from tests.leftovers import DETERMINATE, write

_MOUNT = "/etc/systemd/system/nix.mount"
_SOCKET = "/etc/systemd/system/nix-daemon.socket"
_POLICY = "/etc/nix-installer/selinux/packages/nix.pp"
_MOUNTED = "90 22 0:31 / /nix rw,relatime shared:9 - tmpfs other rw\n"


class Host:
    """A host below ``top`` that records the commands that it is asked to run."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.commands: list[str] = []
        self.mounted = False
        self.failing: str | None = None
        self.modules = ""

    def gather(self) -> Former:
        mountinfo = _MOUNTED if self.mounted else ""
        return find_former(Tree(str(self.top)), mountinfo, ours=not self.mounted)

    def run(self, words: Sequence[str], **_: object) -> Outcome:
        line = " ".join(words)
        self.commands.append(line)
        if line == self.failing:
            return Outcome(1, "", "it is busy\n")
        if line == "umount /nix":
            self.mounted = False
        return Outcome(0, self.modules if "--list-modules" in words else "", "")

    def systemctl(self, *words: str) -> None:
        if self.run(["systemctl", *words]).code:
            raise CommandError("cannot run it")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(command, "gather_former", host.gather)
    monkeypatch.setattr(command, "Aside", lambda: Aside(str(tmp_path), str(tmp_path / "packaged")))
    monkeypatch.setattr(revive, "run", host.run)
    monkeypatch.setattr(revive, "_systemctl", host.systemctl)
    monkeypatch.setattr(revive, "is_ours", lambda: not host.mounted)
    monkeypatch.setattr("os.path.ismount", lambda path: path == "/nix" and host.mounted)
    monkeypatch.setattr(revive, "_PATIENCE", 0.0)
    monkeypatch.setattr(occupants, "find_users", lambda: [(7, "/nix/x")])
    return host


def _set_aside(*paths: str, yes: bool = True, dry_run: bool = False, as_json: bool = False) -> int:
    return command.set_aside(paths, yes=yes, dry_run=dry_run, as_json=as_json)


def test_units_are_stopped_files_moved_and_units_restarted(host: Host) -> None:
    write(host.top, {**DETERMINATE, "/packaged/nix/nix.conf": "!include nix.custom.conf\n"})
    host.mounted = True
    host.modules = "container\nnix\n"
    assert _set_aside() == 0
    assert host.gather().traces == ()
    done = host.commands
    order = [
        *("systemctl stop determinate-nixd.socket", "systemctl stop nix-daemon.socket"),
        *("systemctl stop nix-daemon.service", "semodule --remove nix", "systemctl daemon-reload"),
        *("systemctl reset-failed nix-directory.service", "umount /nix"),
        *("systemctl enable nix.mount nix-daemon.socket", "systemctl restart nix-layout.service"),
        *("systemctl start nix.mount", "systemctl start nix-daemon.socket"),
        "systemctl try-restart nix-daemon.service",
    ]
    assert [done.index(line) for line in order] == sorted(done.index(line) for line in order)
    assert "systemctl stop nix-directory.service" not in done  # this would change /
    assert "systemctl stop nix.mount" not in done  # this would also stop the daemon


def test_script_alone_stops_nothing(host: Host) -> None:
    write(host.top, {"/etc/bashrc": DETERMINATE["/etc/bashrc"]})
    assert _set_aside("/etc/bashrc") == 0
    assert host.commands == ["restorecon /etc/bashrc"]


def test_mount_in_use_needs_a_reboot_and_the_rest_is_done(host: Host) -> None:
    write(host.top, {_MOUNT: DETERMINATE[_MOUNT]})
    host.mounted, host.failing = True, "umount /nix"
    with pytest.raises(CommandError) as caught:
        _set_aside("/nix")
    assert caught.value.message == (
        "cannot unmount /nix: it is busy (process 7); the rest was set aside; a reboot "
        "unmounts /nix"
    )
    assert (caught.value.hint, caught.value.code) == ("sudo systemctl reboot", FAILED)
    assert host.commands[-1] == "systemctl start nix-daemon.socket"


def test_failed_start_is_reported_only_when_nothing_else_remains(host: Host) -> None:
    write(host.top, {_SOCKET: DETERMINATE[_SOCKET], _MOUNT: DETERMINATE[_MOUNT]})
    host.failing = "systemctl start nix-setup.service"
    assert _set_aside(_MOUNT) == 0  # the other leftover may cause the failure
    with pytest.raises(CommandError):
        _set_aside(_SOCKET)
    assert host.commands[-1] == "systemctl start nix-daemon.socket"


def test_interrupted_run_continues_with_the_rest(host: Host) -> None:
    assert _set_aside() == 0
    assert "systemctl daemon-reload" in host.commands
    assert host.commands[-1] == "systemctl start nix-daemon.socket"


def test_dry_run_changes_nothing(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    write(host.top, DETERMINATE)
    before = host.gather()
    assert _set_aside(dry_run=True, as_json=True) == 0
    assert host.gather() == before
    assert host.commands == []
    output = capsys.readouterr()
    rows = json.loads(output.out)["traces"]
    assert {row["path"] for row in rows} == {trace.path for trace in before.traces}
    assert {row["now"] for row in rows} == {None}
    assert f"  {_MOUNT}: Determinate's installer: mounts /var/home/nix on /nix: moved" in output.err


def test_answer_no_changes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    write(host.top, DETERMINATE)
    before = host.gather()
    with pytest.raises(CommandError, match="no terminal") as caught:
        _set_aside(yes=False)
    assert caught.value.hint == "sudo nix-aurora set-aside --yes"
    monkeypatch.setattr(command, "require_terminal", lambda *_: None)
    monkeypatch.setattr(command, "confirm", lambda _: False)
    assert _set_aside(yes=False) == 1
    assert host.gather() == before
    assert host.commands == []


def test_only_root_may_set_aside(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(CommandError, match="only root may do this") as caught:
        _set_aside("/a b")
    assert caught.value.hint == "sudo nix-aurora set-aside '/a b'"
    assert caught.value.code == USAGE


def test_policy_that_cannot_be_removed_stays_in_place(host: Host) -> None:
    write(host.top, {_POLICY: "x"})
    host.modules, host.failing = "nix", "semodule --remove nix"
    with pytest.raises(CommandError, match="cannot remove the SELinux module nix: it is busy"):
        _set_aside(_POLICY)
    assert (host.top / _POLICY[1:]).exists()


def test_file_that_cannot_be_moved_is_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise OSError(30, "Read-only file system")

    write(host.top, {_MOUNT: DETERMINATE[_MOUNT]})
    monkeypatch.setattr(Aside, "put", refuse)
    with pytest.raises(CommandError, match=f"cannot set aside {_MOUNT}: Read-only file system"):
        _set_aside()
