"""nix-aurora mount: what it makes of the system's answers, what it decides, what it says."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from nix_aurora_host import mount, paths, settings
from nix_aurora_host.errors import CommandError
from nix_aurora_host.facts import Fault, Pivot, SettingsFile
from nix_aurora_host.gather.pivot import make_pivot, parse_properties, parse_unit
from nix_aurora_host.mount import Step

_STOCK = Pivot()  # a composefs host on which nothing was enabled
_MOVED = Pivot(enabled=True, done="overlay", mounted=True)
_NAMESPACE = SettingsFile("namespace", ((3, "namespace"),))


def _make(**given: object) -> Pivot:
    answers: dict[str, object] = {
        "unit": {"UnitFileState": "enabled", "ActiveState": "active"},
        "made": "overlay\n",
        "pending": False,
        "arguments": "quiet\n",
        "settings": SettingsFile(),
        "nix": True,
        "writable": False,
        "mounted": True,
    }
    return make_pivot(**(answers | given))  # type: ignore[arg-type] # checked by the function


def _enable() -> int:
    return mount.enable(yes=True, now=False, dry_run=False)


# --- what the system says


def test_properties_are_parsed() -> None:
    assert parse_properties("UnitFileState=enabled\n\nActiveState=\nnonsense\nA=b=c\n") == {
        "UnitFileState": "enabled",
        "ActiveState": "",
        "A": "b=c",
    }


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/sshd.service\n", "sshd.service"),
        ("0::/init.scope\n", "init.scope"),
        ("0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service"),
        # What a user calls his units is no word of the system's.
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
def test_the_unit_of_a_process_is_read_from_its_cgroup(text: str, unit: str | None) -> None:
    assert parse_unit(text) == unit


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, _MOVED),
        ({"made": "", "nix": False, "mounted": False}, Pivot(enabled=True)),
        ({"nix": False, "mounted": False}, Pivot(enabled=True)),  # what another root has left
        ({"made": ""}, Pivot(enabled=True, own=True, mounted=True)),
        ({"unit": {"UnitFileState": "enabled-runtime"}}, _MOVED),
        ({"unit": {}}, replace(_MOVED, enabled=False)),
        ({"unit": {"ActiveState": "failed"}}, replace(_MOVED, enabled=False, failed=True)),
        ({"pending": True}, _MOVED),  # this boot's
        (
            {"pending": True, "nix": False, "mounted": False},
            Pivot(enabled=True, stopped=True),
        ),
        ({"arguments": f"quiet {paths.ROOT_OFF}"}, replace(_MOVED, off=True)),
        ({"arguments": f"x{paths.ROOT_OFF}"}, _MOVED),
        ({"settings": _NAMESPACE}, replace(_MOVED, asked="namespace")),
        ({"writable": True}, replace(_MOVED, writable=True)),
    ],
)
def test_the_state_follows_from_the_answers(given: dict[str, object], expected: Pivot) -> None:
    assert _make(**given) == expected


# --- what is decided


@pytest.mark.parametrize(
    ("pivot", "file", "step", "said"),
    [
        (_STOCK, SettingsFile(), Step.ENABLE, "At the next boot"),
        (_STOCK, _NAMESPACE, Step.ENABLE, "At the next boot"),
        (replace(_STOCK, enabled=True, stopped=True), SettingsFile(), Step.ENABLE, "At the"),
        (_MOVED, SettingsFile(), Step.NOTHING, "already enabled"),
        (_MOVED, _NAMESPACE, Step.ENABLE, "At the next boot"),
        (Pivot(own=True, mounted=True), SettingsFile(), Step.NOTHING, "its own /nix"),
        (Pivot(own=True), _NAMESPACE, Step.ALLOW, "will be removed"),
        (Pivot(writable=True), SettingsFile(), Step.NOTHING, "systemctl restart nix-layout"),
    ],
)
def test_enable_does_what_is_needed(
    pivot: Pivot, file: SettingsFile, step: Step, said: str
) -> None:
    decided, message = mount.decide_enable(pivot, file, now=False)
    assert decided is step
    assert said in message


def test_enable_is_refused_where_another_layout_is_asked_for() -> None:
    file = SettingsFile("relocated", ((2, "namespace"), (5, "relocated")))
    with pytest.raises(CommandError, match="expected STORE_LAYOUT=auto, got relocated") as refusal:
        mount.decide_enable(_STOCK, file, now=False)
    assert refusal.value.hint == ("sudo sed --in-place '2s/^/#/;5s/^/#/' /etc/nix-aurora.conf")
    assert refusal.value.code == 2


def test_enable_now_is_refused_while_the_kernel_forbids_it() -> None:
    off = replace(_STOCK, off=True)
    with pytest.raises(CommandError, match=paths.ROOT_OFF):
        mount.decide_enable(off, SettingsFile(), now=True)
    assert mount.decide_enable(off, SettingsFile(), now=False)[0] is Step.ENABLE


@pytest.mark.parametrize("pivot", [Pivot(own=True, mounted=True), Pivot(writable=True)])
def test_disable_changes_nothing_where_the_root_has_a_nix(
    pivot: Pivot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "gather_settings_file", SettingsFile)
    monkeypatch.setattr(mount, "gather_pivot", lambda file: pivot)
    monkeypatch.setattr(mount, "_systemctl", lambda *words: pytest.fail(str(words)))
    monkeypatch.setattr(settings, "ask_for_namespace", lambda: pytest.fail("the file"))
    assert mount.disable() == 0
    assert capsys.readouterr().err.endswith(": nothing was changed\n")


# --- what is done


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what systemctl is called with, on a stock host whose /etc is ``tmp_path``."""
    calls: list[str] = []
    monkeypatch.setattr(settings, "gather_settings_file", SettingsFile)
    monkeypatch.setattr(mount, "gather_pivot", lambda file: _STOCK)
    monkeypatch.setattr(mount, "_systemctl", lambda *words: calls.append(" ".join(words)))
    monkeypatch.setattr(paths, "SETTINGS", str(tmp_path / "nix-aurora.conf"))
    monkeypatch.setattr(paths, "PENDING", str(tmp_path / "pending"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return calls


def test_disable_leaves_a_trace_in_the_settings(called: list[str], tmp_path: Path) -> None:
    (tmp_path / "nix-aurora.conf").write_text("# mine\n")
    (tmp_path / "pending").touch()
    assert mount.disable() == 0
    assert (tmp_path / "nix-aurora.conf").read_text() == "# mine\nSTORE_LAYOUT=namespace\n"
    assert not (tmp_path / "pending").exists()
    assert called == ["disable nix-root.service"]


def test_enable_removes_that_trace(
    called: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nix-aurora.conf").write_text("# mine\n\nSTORE_LAYOUT=namespace\n# more\n")
    monkeypatch.setattr(settings, "gather_settings_file", lambda: _NAMESPACE)
    assert mount.enable(yes=True, now=False, dry_run=True) == 0
    assert called == []
    assert mount.enable(yes=True, now=False, dry_run=False) == 0
    assert (tmp_path / "nix-aurora.conf").read_text() == "# mine\n\n# more\n"
    assert called == ["enable nix-root.service"]


@pytest.mark.parametrize("what", ["enable", "disable"])
def test_a_read_only_etc_is_a_message(
    what: str, called: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, change: object) -> None:
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr("nix_aurora_host.replace.edit", refuse)
    if what == "enable":
        monkeypatch.setattr(settings, "gather_settings_file", lambda: _NAMESPACE)
    act = {"enable": _enable, "disable": mount.disable}[what]
    with pytest.raises(CommandError) as error:
        act()
    assert error.value.message == (
        f"cannot run mount {what}: {paths.SETTINGS}: Read-only file system"
    )
    assert error.value.hint == "findmnt --target /etc"
    assert called == []


# --- what is said


@pytest.mark.parametrize(
    ("pivot", "said"),
    [
        (_MOVED, "/ is an overlay of the image, with /nix"),
        (replace(_MOVED, done="binds"), "/ is a tmpfs with bind mounts, with /nix"),
        (replace(_MOVED, done="\x1b[2J"), "/ is \\x1b[2J, with /nix"),
        (Pivot(own=True), "the root directory has its own /nix"),
        (Pivot(writable=True), "/ is writable, and every boot creates /nix"),
        (
            Pivot(enabled=True, stopped=True, off=True),
            "stopped, because an earlier boot with it failed",
        ),
        (Pivot(off=True, failed=True), f"switched off by the kernel argument {paths.ROOT_OFF}"),
        (Pivot(failed=True), "failed; to see why: journalctl -b -u nix-root.service"),
        (_STOCK, "the root directory has no /nix"),
    ],
)
def test_the_state_of_this_boot_is_explained(pivot: Pivot, said: str) -> None:
    assert mount.explain(pivot).startswith(said)


def test_status_has_a_line_for_everything() -> None:
    file = SettingsFile(faults=(Fault(2, "expected KEY=VALUE, got exit 0"),))
    assert mount.render_lines(_MOVED, file, ["a.service", "b\x1b.scope"]) == [
        "every boot  enabled",
        "this boot   / is an overlay of the image, with /nix",
        "old root    used by these units until they are restarted: a.service, b\\x1b.scope",
        "settings    cannot understand /etc/nix-aurora.conf: line 2: "
        "expected KEY=VALUE, got exit 0",
    ]
    assert mount.render_lines(_STOCK, SettingsFile(), [])[0] == "every boot  not enabled"
