"""Test nix-aurora gc: its changes, questions and messages."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from nix_aurora_host import cli, paths, settings
from nix_aurora_host.collection import limits, switch
from nix_aurora_host.collection.dead import Dead
from nix_aurora_host.collection.limits import Limits
from nix_aurora_host.commands import gc
from nix_aurora_host.errors import CommandError
from nix_aurora_host.gather import collection
from nix_aurora_host.gather.collection import Garbage
from nix_aurora_host.report.collection import render
from nix_aurora_host.settings import SettingsFile
from nix_aurora_host.system import Outcome

_SHOWN = """\
Id=nix-gc.timer
ActiveState=active
UnitFileState=enabled
Result=success
NextElapseUSecRealtime=Mon 2026-12-07 05:12:33 UTC

Id=nix-gc.service
ActiveState=failed
UnitFileState=static
Result=exit-code
ExecMainExitTimestamp=Mon 2026-11-30 06:00:00 UTC
"""


class Host:
    """A host; ``ran`` lists the commands that ran, ``said`` the messages."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[str] = []
        self.said: list[str] = []
        self.code = 0
        for name in ("NIX_CONF", "CUSTOM_CONF", "GC_CONF"):
            monkeypatch.setattr(paths, name, str(top / Path(getattr(paths, name)).name))
        Path(paths.NIX_CONF).write_text("!include nix.gc.conf\n")
        self.top = top
        (top / "systemd").mkdir()
        monkeypatch.setattr(switch, "_LINK", str(top / "link"))
        monkeypatch.setattr(switch, "_SYSTEMD", str(top / "systemd"))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(limits, "choose_here", lambda: Limits(1 << 30, 3 << 30))
        monkeypatch.setattr(settings, "gather_settings_file", lambda: SettingsFile(days=45))
        monkeypatch.setattr(collection, "run", lambda _: Outcome(0, _SHOWN, ""))
        monkeypatch.setattr(collection, "estimate", lambda: Dead(12, 3 << 20))
        monkeypatch.setattr(gc, "say", self.said.append)
        monkeypatch.setattr(subprocess, "run", self._run)

    def _run(self, words: list[str], **_: object) -> object:
        self.ran.append(" ".join(words))
        return subprocess.CompletedProcess(words, self.code, "", "no\x1b bus")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_enable_starts_the_timer_and_sets_limits(host: Host) -> None:
    assert cli.main(["gc", "enable"]) == 0
    assert host.ran == [
        "systemctl --quiet enable --now nix-gc.timer",
        "systemctl --quiet try-restart nix-daemon.service",
    ]
    assert limits.read_values() == {"min-free": str(1 << 30), "max-free": str(3 << 30)}
    assert "generations older than 45 days" in host.said[0]
    assert "less than 1.0 GiB is free, a build collects garbage until 3.0 GiB is" in host.said[1]


def test_each_trace_of_enable_is_found(host: Host) -> None:
    assert not switch.is_on()
    (host.top / "link").symlink_to("/usr/lib/systemd/system/nix-gc.timer")
    assert switch.is_on()
    (host.top / "link").unlink()
    limits.write(Limits(1, 3))
    assert switch.is_on()


def test_nothing_is_started_while_an_image_is_built(host: Host) -> None:
    (host.top / "systemd").rmdir()
    assert cli.main(["gc", "enable"]) == 0
    assert cli.main(["gc", "disable"]) == 0
    assert host.ran == [
        "systemctl --quiet enable nix-gc.timer",
        "systemctl --quiet disable nix-gc.timer",
    ]


def test_dry_run_of_enable_changes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["gc", "enable", "--dry-run"]) == 0
    assert host.ran == []
    assert not Path(paths.GC_CONF).exists()


def test_enable_names_the_line_that_nix_conf_lacks(host: Host) -> None:
    Path(paths.NIX_CONF).write_text("# determinate-nixd's\n")
    assert gc.enable(dry_run=False) == 0
    assert "so builds do not collect garbage." in host.said[2]
    assert f"!include {paths.GC_CONF}" in host.said[3]
    assert "sudo tee --append" in host.said[3]


def test_disable_leaves_nothing(host: Host) -> None:
    gc.enable(dry_run=False)
    host.ran.clear()
    assert cli.main(["gc", "disable"]) == 0
    assert not Path(paths.GC_CONF).exists()
    assert host.ran == [
        "systemctl --quiet disable --now nix-gc.timer",
        "systemctl --quiet clean --what=state nix-gc.timer",
        "systemctl --quiet try-restart nix-daemon.service",
    ]
    assert gc.disable() == 0
    assert not switch.is_on()


@pytest.mark.parametrize("action", ["enable", "disable", "run"])
def test_gc_needs_root(host: Host, monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["gc", action]) == 2
    assert host.ran == []


def test_failure_of_systemctl_is_an_error(host: Host) -> None:
    host.code = 1
    with pytest.raises(CommandError, match=r"cannot run systemctl .*: no\\x1b bus") as error:
        gc.enable(dry_run=False)
    assert error.value.hint == "journalctl -b -u nix-gc.timer"


def test_unwritable_file_is_named(host: Host) -> None:
    Path(paths.GC_CONF).mkdir()
    with pytest.raises(CommandError, match=r"run gc enable: .*nix\.gc\.conf: Is a directory"):
        gc.enable(dry_run=False)


def test_run_asks_first(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["gc", "run"]) == 2  # the test has no terminal
    monkeypatch.setattr(gc, "require_terminal", lambda *_: None)
    monkeypatch.setattr(gc, "confirm", lambda _: False)
    assert cli.main(["gc", "run"]) == 1
    assert host.ran == []
    assert host.said[-1] == "gc: nothing was removed"
    monkeypatch.setattr(gc, "confirm", lambda _: True)
    assert cli.main(["gc", "run"]) == 0
    collect = "/usr/libexec/nix-aurora/with-nix /usr/libexec/nix-aurora/collect"
    assert host.ran == [collect]


def test_run_returns_the_collectors_exit_code(host: Host) -> None:
    host.code = 1
    assert cli.main(["gc", "run", "--yes"]) == 1


def test_dry_run_of_run_prints_the_estimate(host: Host) -> None:
    assert cli.main(["gc", "run", "--dry-run"]) == 0
    assert host.ran[0].endswith("/collect --dry-run")
    assert host.said[0] == "a collection now would free about 3.0 MiB (12 store paths)"


def test_status_is_printed_as_text_and_as_json(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    gc.enable(dry_run=False)
    assert cli.main(["gc", "status"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "collected each week; generations are kept for 45 days",
        "next: Mon 2026-12-07 05:12:33 UTC",
        "last: Mon 2026-11-30 06:00:00 UTC, which failed: sudo nix-aurora doctor",
        "a build collects garbage if less than 1.0 GiB is free, until 3.0 GiB is free",
        "a collection now would free about 3.0 MiB (12 store paths)",
    ]
    assert cli.main(["gc", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "enabled": True,
        "timer": "enabled",
        "next": "Mon 2026-12-07 05:12:33 UTC",
        "last": "Mon 2026-11-30 06:00:00 UTC",
        "failed": True,
        "keep_days": 45,
        "limits": {"min-free": str(1 << 30), "max-free": str(3 << 30)},
        "dead": {"paths": 12, "size": 3 << 20},
    }


def test_status_names_what_is_off_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert render(Garbage()).splitlines() == [
        "not collected automatically; to enable that: sudo nix-aurora gc enable",
        "builds do not collect garbage: min-free is not set",
        "only root can see what a collection would free: sudo nix-aurora status",
    ]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert render(Garbage(limits={"min-free": "5G"})).splitlines()[1:] == [
        "a build collects garbage if less than 5G is free",
        "what a collection would free is unknown: the database did not answer in time",
    ]
