"""Test /etc/nix-aurora.conf: its only parser, settings.bash, and edits of the file."""

import os
import re
import shlex
import subprocess
from dataclasses import replace as with_fields
from pathlib import Path

import pytest
from nix_aurora_host import layouts, paths, replace, settings
from nix_aurora_host.checks.everything import judge
from nix_aurora_host.finding import Severity
from nix_aurora_host.report import status
from nix_aurora_host.settings import Fault, SettingsFile

from nix_aurora.package.lists import read_layouts
from nix_aurora.package.render import render
from tests.readme import TOP
from tests.settings import DAYS, FAULTY, UNDERSTOOD
from tests.unit.host.checks.test_checks import BASICS, WELL

_BASH = Path("payload/usr/lib/nix-aurora/settings.bash").resolve()
_SHOW = f'. {_BASH}; read_settings "$1"'


def _show(path: Path) -> SettingsFile:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _SHOW, "bash", path],
        cwd=path.parent,
        capture_output=True,
        check=True,
    )
    assert not (path.parent / "ran").exists()
    return settings.parse(done.stdout.decode(errors="replace"))


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a settings file, which the module edits."""
    path = tmp_path / "nix-aurora.conf"
    monkeypatch.setattr(paths, "SETTINGS", str(path))
    monkeypatch.setattr(settings, "gather_settings_file", lambda: _show(path))
    return path


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_common_spellings_are_understood(name: str, tmp_path: Path) -> None:
    text, layout = UNDERSTOOD[name]
    (tmp_path / "conf").write_bytes(text)
    found = _show(tmp_path / "conf")
    assert (found.layout, found.faults) == (layout, ())


@pytest.mark.parametrize("name", DAYS)
def test_days_that_generations_are_kept_are_understood(name: str, tmp_path: Path) -> None:
    text, days = DAYS[name]
    (tmp_path / "conf").write_bytes(text)
    found = _show(tmp_path / "conf")
    assert (found.days, found.faults) == (days, ())


@pytest.mark.parametrize("name", FAULTY)
def test_mistake_is_named_and_auto_applies(name: str, tmp_path: Path) -> None:
    text, line = FAULTY[name]
    (tmp_path / "conf").write_bytes(text)
    found = _show(tmp_path / "conf")
    assert (found.layout, found.days) == ("auto", 30)
    assert [fault.line for fault in found.faults][:1] == [line]
    assert settings.describe_fault(found.faults[0]).isprintable()
    assert "expected" in found.faults[0].reason


def test_mistake_leaves_the_other_lines_in_force(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("exit 0\nSTORE_LAYOUT=namespace\nSTORE_LAYOUT=namspace\n")
    found = _show(tmp_path / "conf")
    assert found.layout == "namespace"
    assert [fault.line for fault in found.faults] == [1, 3]


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "dangling link"])
def test_other_kinds_of_file_do_not_stop_the_boot(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "conf"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    found = _show(path)
    assert found.layout == "auto"
    assert [fault.line for fault in found.faults] == ([] if kind == "missing" else [0])


def test_journal_names_a_mistake_without_control_characters(tmp_path: Path) -> None:
    (tmp_path / "conf").write_bytes(b"\x1b]0;title\x07\n")
    script = f'. {_BASH}; tell_faults "$1" "$(read_settings "$1")"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", tmp_path / "conf"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"nix-aurora: cannot understand {tmp_path}/conf: line 1: ")
    assert done.stdout.rstrip("\n").isprintable()


# --- messages


def test_doctors_fix_cures_each_mistake(tmp_path: Path, conf: Path) -> None:
    conf.write_bytes(b"exit 0\r\nSTORE_LAYOUT = namespace\nSTORE_LAYOUT='mount\nlast")
    facts = with_fields(WELL, basics=with_fields(BASICS, settings_file=_show(conf)))
    (finding,) = judge(facts)
    assert (finding.id, finding.severity) == ("settings-file", Severity.WARNING)
    for line in (1, 3, 4):
        assert f"line {line}: " in finding.message
    assert finding.fix is not None
    fix = finding.fix.replace("/etc/nix-aurora.conf", str(conf))
    subprocess.run(["bash", "-c", fix.removeprefix("sudo ")], check=True)
    assert _show(conf) == SettingsFile("namespace", ((2, "namespace"),))
    assert conf.read_bytes() == (
        b"#exit 0\r\nSTORE_LAYOUT = namespace\n#STORE_LAYOUT='mount\n#last"
    )


def test_doctors_fix_sets_other_kinds_of_file_aside(conf: Path) -> None:
    conf.mkdir()
    facts = with_fields(WELL, basics=with_fields(BASICS, settings_file=_show(conf)))
    (finding,) = judge(facts)
    assert finding.fix is not None
    words = shlex.split(finding.fix.replace("/etc/nix-aurora.conf", str(conf)))
    subprocess.run(words[1:], check=True)
    assert _show(conf) == SettingsFile()


def test_unreadable_file_is_no_fault_for_a_user() -> None:
    basics = with_fields(BASICS, settings_file=SettingsFile(unread=True))
    (note,) = judge(with_fields(WELL, basics=basics))
    assert (note.severity, note.fix) == (Severity.NOTE, "sudo nix-aurora doctor")


def test_status_names_a_mistake() -> None:
    faulty = SettingsFile(faults=(Fault(3, "expected KEY=VALUE, got \x1b[2J"),))
    basics = with_fields(BASICS, settings_file=faulty)
    said = "cannot understand /etc/nix-aurora.conf: line 3: expected KEY=VALUE, got \\x1b[2J"
    assert f"\n          {said}\n" in status.render(basics)
    assert status.describe(basics)["settings"] == {"STORE_LAYOUT": "auto", "faults": [said]}


# --- edits


@pytest.mark.parametrize(
    "text", [b"", b"# one\n", b"STORE_LAYOUT=auto\r\n", b"exit 0\n\x80\xff\n", b"# no newline"]
)
def test_edit_keeps_the_rest_byte_for_byte(text: bytes, conf: Path) -> None:
    conf.write_bytes(text)
    settings.ask_for_namespace()
    assert _show(conf).layout == "namespace"
    assert conf.read_bytes().startswith(text)
    settings.ask_for_namespace()
    assert conf.read_bytes().count(b"STORE_LAYOUT=namespace") == 1
    settings.ask_no_more()
    newline = b"\n" if text == b"# no newline" else b""
    assert conf.read_bytes() == text + newline


def test_every_spelling_of_namespace_is_removed(conf: Path) -> None:
    conf.write_bytes(b"export STORE_LAYOUT = 'namespace' # x\r\n# kept\nSTORE_LAYOUT=namespace")
    settings.ask_no_more()
    assert conf.read_bytes() == b"# kept\n"


def test_relocated_is_not_replaced(conf: Path) -> None:
    conf.write_bytes(b"STORE_LAYOUT=relocated\n")
    settings.ask_for_namespace()
    assert conf.read_bytes() == b"STORE_LAYOUT=relocated\n"


def test_replaced_file_keeps_mode_and_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("one\n")
    real.chmod(0o640)
    link.symlink_to("real")
    replace.edit(str(link), lambda text: text + b"two\n")
    assert link.is_symlink()
    assert real.read_text() == "one\ntwo\n"
    assert real.stat().st_mode & 0o7777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_failed_replacement_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "conf"
    path.write_text("one\n")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        replace.edit(str(path), lambda text: text + b"two\n")
    assert path.read_text() == "one\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["conf"]


def test_man_page_has_the_settings_of_the_boot() -> None:
    """The page takes the layouts' descriptions from the package's files."""
    name = "usr/share/man/man5/nix-aurora.conf.5.in"
    page = render((TOP / "payload" / name).read_text(), {"layouts": read_layouts(TOP)}, name)
    values = ["auto", *sorted(path.name for path in Path(layouts.FOLDER).iterdir())]
    assert re.findall(r"^\.It Cm ([a-z]+)$", page, re.MULTILINE) == values
    assert re.findall(r"^\.It Cm ([A-Z_]+)$", page, re.MULTILINE) == [
        "STORE_LAYOUT",
        "GC_KEEP_DAYS",
    ]
    assert "everything is built from source" in page
