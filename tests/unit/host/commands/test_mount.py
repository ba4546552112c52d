"""Test nix-aurora mount: how it reads the system, decides, and reports."""

import io
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from nix_aurora_host import cli, paths, settings
from nix_aurora_host.commands import mount
from nix_aurora_host.errors import CommandError
from nix_aurora_host.nix_root import words
from nix_aurora_host.nix_root.facts import FailedBoot, NixRoot, Unmoved
from nix_aurora_host.nix_root.gather import make_nix_root, parse_pending, parse_unit
from nix_aurora_host.nix_root.plan import Step, decide_enable
from nix_aurora_host.report.mount import render_lines
from nix_aurora_host.settings import Fault, SettingsFile

_OFF = NixRoot(asked="namespace")  # a composefs host on which mount was disabled
_STOCK = NixRoot()  # a host that has not booted with the package
_MOVED = NixRoot(done="overlay", mounted=True)
_OVERLAY, _BINDS = FailedBoot("overlay", "6.18"), FailedBoot("binds", "6.18")
_STOPPED = NixRoot(unmoved=Unmoved.FAILED_BOOTS, failed=(_OVERLAY, _OVERLAY))
_EXHAUSTED = NixRoot(unmoved=Unmoved.FAILED_BOOTS, failed=(_BINDS, _BINDS))
_NAMESPACE = SettingsFile("namespace", ((3, "namespace"),))


def _make(**given: object) -> NixRoot:
    answers: dict[str, object] = {
        "made": "overlay\n",
        "unmoved": "",
        "pending": "",
        "boot": "now",
        "arguments": "quiet\n",
        "settings": SettingsFile(),
        "nix": True,
        "writable": False,
        "mounted": True,
    }
    return make_nix_root(**(answers | given))  # type: ignore[arg-type] # checked by the function


def _enable() -> int:
    return mount.enable(yes=True, now=False, again=False, dry_run=False)


# --- the state of the system


def test_failed_boots_are_read_from_the_marker() -> None:
    text = "overlay 6.18 then\nbinds 6.19 later\noverlay 6.19 now\nhalf a\n"
    assert parse_pending(text, "now") == (_OVERLAY, FailedBoot("binds", "6.19"))
    assert parse_pending("", "now") == ()  # the marker of an older package


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/sshd.service\n", "sshd.service"),
        ("0::/init.scope\n", "init.scope"),
        ("0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service"),
        # A user may name units freely, so such a name must not count as the system's.
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/\x1b[2J.service\n",
            "user@1000.service",
        ),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", "session-2.scope"),
        ("0::/system.slice/nix-daemon.service/builder\n", "nix-daemon.service"),
        (
            "12:pids:/x.service\n1:name=systemd:/y.service\n0::/system.slice/z.service\n",
            "z.service",
        ),
        ("0::/\n", None),
        ("", None),
    ],
)
def test_unit_of_a_process_is_read_from_its_cgroup(text: str, unit: str | None) -> None:
    assert parse_unit(text) == unit


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, _MOVED),
        ({"made": "", "nix": False, "mounted": False}, _STOCK),
        ({"nix": False, "mounted": False}, _STOCK),  # leftovers of another root
        ({"made": ""}, NixRoot(own=True, mounted=True)),
        ({"unmoved": "failed\n"}, _MOVED),
        (
            {"unmoved": "etc\n", "nix": False, "mounted": False},
            NixRoot(unmoved=Unmoved.ETC),
        ),
        ({"unmoved": "another word\n", "nix": False, "mounted": False}, _STOCK),
        ({"pending": "overlay 6.18 now\n"}, _MOVED),  # this boot wrote the line
        (
            {
                **{"pending": "overlay 6.18 a\noverlay 6.18 b\n", "unmoved": "failed-boots\n"},
                **{"nix": False, "mounted": False},
            },
            _STOPPED,
        ),
        ({"arguments": f"quiet {paths.ROOT_OFF}"}, replace(_MOVED, off=True)),
        ({"arguments": f"x{paths.ROOT_OFF}"}, _MOVED),
        ({"settings": _NAMESPACE}, replace(_MOVED, asked="namespace")),
        ({"writable": True}, replace(_MOVED, writable=True)),
    ],
)
def test_state_follows_from_the_answers(given: dict[str, object], expected: NixRoot) -> None:
    assert _make(**given) == expected


# --- decisions


@pytest.mark.parametrize(
    ("nix_root", "file", "step", "said"),
    [
        (_STOCK, SettingsFile(), Step.NOTHING, "reboot to apply it"),
        (_OFF, _NAMESPACE, Step.ENABLE, "At the next boot"),
        (_STOPPED, SettingsFile(), Step.ENABLE, "At the"),
        (_MOVED, SettingsFile(), Step.NOTHING, "already enabled"),
        (replace(_MOVED, asked="namespace"), _NAMESPACE, Step.ENABLE, "At the next boot"),
        (NixRoot(own=True, mounted=True), SettingsFile(), Step.NOTHING, "its own /nix"),
        (NixRoot(own=True), _NAMESPACE, Step.ALLOW, "will be removed"),
        (NixRoot(writable=True), SettingsFile(), Step.NOTHING, "systemctl restart nix-layout"),
    ],
)
def test_enable_plans_the_necessary_steps(
    nix_root: NixRoot, file: SettingsFile, step: Step, said: str
) -> None:
    decided, message = decide_enable(nix_root, file, now=False, again=False)
    assert decided is step
    assert said in message


def test_enable_is_refused_if_another_layout_is_set() -> None:
    file = SettingsFile("relocated", ((2, "namespace"), (5, "relocated")))
    with pytest.raises(CommandError, match="expected STORE_LAYOUT=auto, got relocated") as refusal:
        decide_enable(_STOCK, file, now=False, again=False)
    assert refusal.value.hint == ("sudo sed --in-place '2s/^/#/;5s/^/#/' /etc/nix-aurora.conf")
    assert refusal.value.code == 2


def test_enable_now_is_refused_while_the_kernel_forbids_it() -> None:
    off = replace(_OFF, off=True)
    with pytest.raises(CommandError, match=paths.ROOT_OFF):
        decide_enable(off, _NAMESPACE, now=True, again=False)
    assert decide_enable(off, _NAMESPACE, now=False, again=False)[0] is Step.ENABLE


@pytest.mark.parametrize(
    ("nix_root", "said"),
    [
        (NixRoot(unmoved=Unmoved.ETC), "/etc cannot keep a note"),
        (NixRoot(unmoved=Unmoved.STACKED), "more than one file system"),
        (_EXHAUSTED, "boots with each kind of root directory failed"),
        (NixRoot(unmoved=Unmoved.EXHAUSTED), "boots with each kind of root directory failed"),
    ],
)
def test_enable_is_refused_if_it_would_repeat_a_failure(nix_root: NixRoot, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        decide_enable(nix_root, SettingsFile(), now=True, again=False)


@pytest.mark.parametrize("nix_root", [_EXHAUSTED, _STOPPED, NixRoot(unmoved=Unmoved.EXHAUSTED)])
def test_enable_again_retries_the_failed_kind(nix_root: NixRoot) -> None:
    assert decide_enable(nix_root, SettingsFile(), now=False, again=True)[0] is Step.ENABLE


@pytest.mark.parametrize("nix_root", [NixRoot(own=True, mounted=True), NixRoot(writable=True)])
def test_disable_changes_nothing_if_the_root_has_a_nix(
    nix_root: NixRoot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "gather_settings_file", SettingsFile)
    monkeypatch.setattr(mount, "gather_nix_root", lambda file: nix_root)
    monkeypatch.setattr(mount, "_systemctl", lambda *words: pytest.fail(str(words)))
    monkeypatch.setattr(settings, "ask_for_namespace", lambda: pytest.fail("the file"))
    assert mount.disable() == 0
    assert capsys.readouterr().err.endswith(": nothing was changed\n")


# --- actions


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory in place of /etc and /run, on a stock host."""
    monkeypatch.setattr(settings, "gather_settings_file", SettingsFile)
    monkeypatch.setattr(mount, "gather_nix_root", lambda file: _STOCK)
    monkeypatch.setattr(mount, "_systemctl", lambda *words: pytest.fail(str(words)))
    for name in ("SETTINGS", "PENDING", "AVOIDED", "UNMOVED"):
        monkeypatch.setattr(paths, name, str(tmp_path / name))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def test_disable_writes_a_setting(etc: Path) -> None:
    (etc / "SETTINGS").write_text("# mine\n")
    (etc / "PENDING").touch()
    assert mount.disable() == 0
    assert (etc / "SETTINGS").read_text() == "# mine\nSTORE_LAYOUT=namespace\n"
    assert not (etc / "PENDING").exists()


def test_enable_removes_that_setting(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (etc / "SETTINGS").write_text("# mine\n\nSTORE_LAYOUT=namespace\n# more\n")
    monkeypatch.setattr(settings, "gather_settings_file", lambda: _NAMESPACE)
    monkeypatch.setattr(mount, "gather_nix_root", lambda file: _OFF)
    assert mount.enable(yes=True, now=False, again=False, dry_run=True) == 0
    assert "namespace" in (etc / "SETTINGS").read_text()
    assert _enable() == 0
    assert (etc / "SETTINGS").read_text() == "# mine\n\n# more\n"
    assert not (etc / "AVOIDED").exists()


def test_enable_avoids_the_failed_kind_until_again(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mount, "gather_nix_root", lambda file: _STOPPED)
    (etc / "PENDING").write_text("overlay 6.18 a\noverlay 6.18 b\n")
    (etc / "UNMOVED").write_text("failed-boots\n")
    (etc / "AVOIDED").write_text("binds 6.17\n")
    assert _enable() == 0
    assert (etc / "AVOIDED").read_text() == "binds 6.17\noverlay 6.18\n"
    assert not (etc / "PENDING").exists()
    assert not (etc / "UNMOVED").exists()
    assert mount.enable(yes=True, now=False, again=True, dry_run=False) == 0
    assert not (etc / "AVOIDED").exists()


@pytest.mark.parametrize("what", ["enable", "disable"])
def test_read_only_etc_is_an_error_message(
    what: str, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, change: object) -> None:
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr("nix_aurora_host.replace.edit", refuse)
    if what == "enable":
        monkeypatch.setattr(settings, "gather_settings_file", lambda: _NAMESPACE)
        monkeypatch.setattr(mount, "gather_nix_root", lambda file: _OFF)
    act = {"enable": _enable, "disable": mount.disable}[what]
    with pytest.raises(CommandError) as error:
        act()
    assert error.value.message == (
        f"cannot run mount {what}: {etc}/SETTINGS: Read-only file system"
    )
    assert error.value.hint == "findmnt --target /etc"


# --- messages


@pytest.mark.parametrize(
    ("nix_root", "said"),
    [
        (_MOVED, "/ is a read-only overlay of the image, with /nix, made by nix-root.service"),
        (replace(_MOVED, done="binds"), "/ is a read-only directory of bind mounts, with /nix"),
        (replace(_MOVED, done="\x1b[2J"), "/ is \\x1b[2J, with /nix"),
        (NixRoot(own=True), "the root directory has its own /nix"),
        (NixRoot(writable=True), "/ is writable, and every boot creates /nix"),
        (_STOPPED, "no /nix: the last 2 boots with /nix failed (kind overlay, kernel 6.18); to"),
        (NixRoot(unmoved=Unmoved.EXHAUSTED), "no /nix: boots with each kind of root directory"),
        (NixRoot(unmoved=Unmoved.ETC), "no /nix: /etc cannot keep a note of boots that fail"),
        (NixRoot(unmoved=Unmoved.ANOTHER), "no /nix: another Nix would have mounted its store"),
        (
            replace(_STOPPED, off=True),
            f"no /nix in this boot: the kernel argument {paths.ROOT_OFF}",
        ),
        (
            NixRoot(unmoved=Unmoved.FAILED),
            "no /nix: nix-root.service failed; to see why: journalctl",
        ),
        (_STOCK, "no /nix yet: the next boot creates it; systemctl reboot"),
        (_OFF, "the root directory has no /nix"),
    ],
)
def test_state_of_this_boot_is_explained(nix_root: NixRoot, said: str) -> None:
    assert "; ".join(words.explain(nix_root)).startswith(said)


def test_status_has_a_line_for_everything() -> None:
    file = SettingsFile(faults=(Fault(2, "expected KEY=VALUE, got exit 0"),))
    assert render_lines(_MOVED, file, ["a.service", "b\x1b.scope"]) == [
        "every boot  enabled",
        f"this boot   {'; '.join(words.explain(_MOVED))}",
        "old root    used by these units until they are restarted: a.service, b\\x1b.scope",
        "settings    cannot understand /etc/nix-aurora.conf: line 2: "
        "expected KEY=VALUE, got exit 0",
    ]
    assert render_lines(_OFF, SettingsFile(), [])[0] == "every boot  not enabled"


# --- the running system


@pytest.fixture
def calls(etc: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the calls to systemd, on a host that a start of nix-root moves."""
    called: list[str] = []
    states = {"root": _STOCK, "store": _STOCK}

    def systemctl(*words: str) -> None:
        called.append(" ".join(words))
        if words == ("restart", paths.ROOT):
            states["root"] = NixRoot(done="overlay")
        if words == ("restart", paths.LAYOUT, paths.MOUNT):
            states["root"] = replace(states["root"], mounted=True)

    monkeypatch.setattr(paths, "MOVE_NOW", str(etc / "MOVE_NOW"))
    monkeypatch.setattr(mount, "_systemctl", systemctl)
    monkeypatch.setattr(mount, "gather_nix_root", lambda _file: states["root"])
    monkeypatch.setattr(mount, "gather_laggards", lambda: ["sshd.service"])
    return called


def test_enable_moves_the_running_system(
    calls: list[str], etc: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["mount", "enable", "--yes", "--now"]) == 0
    assert calls == [
        f"restart {paths.ROOT}",
        f"start {paths.ROOT_GOOD}",
        f"restart {paths.LAYOUT} {paths.MOUNT}",
        f"try-restart {paths.DAEMON}",
    ]
    assert (etc / "MOVE_NOW").exists()
    assert capsys.readouterr().err.endswith("until you restart them or reboot: sshd.service\n")


def test_system_that_cannot_be_moved_is_an_error_message(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mount, "gather_nix_root", lambda _file: _STOCK)
    assert cli.main(["mount", "enable", "--yes", "--now"]) == 1
    assert calls == [f"restart {paths.ROOT}"]
    assert "cannot switch the running system to the new root" in capsys.readouterr().err


def test_store_that_cannot_be_mounted_is_an_error_message(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([_STOCK, NixRoot(done="overlay"), NixRoot(done="overlay")])
    last = NixRoot(done="overlay")
    monkeypatch.setattr(mount, "gather_nix_root", lambda _file: next(answers, last))
    assert cli.main(["mount", "enable", "--yes", "--now"]) == 1
    assert "cannot mount the store" in capsys.readouterr().err
    assert f"restart {paths.LAYOUT} {paths.MOUNT}" in calls


def test_answer_other_than_yes_changes_nothing(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert cli.main(["mount", "enable", "--again"]) == 1
    assert capsys.readouterr().err.endswith("mount: nothing was changed\n")
    assert calls == []


def test_only_root_may_enable_or_disable(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for action in (["enable", "--again"], ["disable"]):
        assert cli.main(["mount", *action]) == 2
        assert f"hint: sudo nix-aurora mount {action[0]}" in capsys.readouterr().err
    assert calls == []


def test_status_prints_the_state(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mount, "gather_nix_root", lambda _file: _MOVED)
    monkeypatch.setattr("nix_aurora_host.report.mount.gather_laggards", lambda: ["a.service"])
    assert cli.main(["mount", "status", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert (state["root"], state["mounted"], state["laggards"]) == ("overlay", True, ["a.service"])
    assert cli.main(["mount", "status"]) == 0
    assert "a.service" in capsys.readouterr().out
    assert calls == []


def test_unit_that_does_not_start_is_an_error_message(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess(["systemctl"], 5, "", "Unit x not found.\n")
    monkeypatch.setattr(subprocess, "run", lambda *_words, **_options: failed)
    with pytest.raises(CommandError, match="exit code 5: Unit x not found") as caught:
        mount._systemctl("restart", "x")
    assert caught.value.hint == "journalctl -b -u x"
