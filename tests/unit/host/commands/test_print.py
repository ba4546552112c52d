"""Test nix-aurora's output, arguments, and exit codes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from nix_aurora_host import cli, paths
from nix_aurora_host.checks.everything import judge
from nix_aurora_host.commands import purge
from nix_aurora_host.errors import CommandError
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.disk import Disk
from nix_aurora_host.report import doctor, status
from nix_aurora_host.report import purge as leftovers
from nix_aurora_host.text import human

from tests.unit.host.checks.test_checks import BASICS, CLOSURE, NIX, OTHER, WELL

_ERROR = Finding("broken:it", Severity.ERROR, "it is broken", "sudo mend it")
_NOTE = Finding("note", Severity.NOTE, "by the way", None)
_UNREAD = Finding("unread", Severity.NOTE, "not seen", "sudo nix-aurora doctor")


def test_findings_are_printed_with_their_fixes() -> None:
    assert doctor.render([_ERROR, _NOTE], root=True) == (
        "error: it is broken [broken:it]\n"
        "  fix: sudo mend it\n"
        "note: by the way [note]\n"
        "nix-aurora doctor: 1 fault; apply the first fix, then run doctor again\n"
    )
    assert doctor.render([], root=False) == (
        "not checked: a build by an ordinary user, which doctor does not run\n"
        "nix-aurora doctor: all is well\n"
    )


def test_user_learns_which_checks_need_root_before_the_verdict() -> None:
    lines = doctor.render([_UNREAD, _ERROR, _UNREAD], root=False).splitlines()
    assert lines == [
        "error: it is broken [broken:it]",
        "  fix: sudo mend it",
        "not checked: files that only root can read: sudo nix-aurora doctor",
        "nix-aurora doctor: 1 fault; apply the first fix, then run doctor again",
    ]
    assert "note: not seen [unread]\n" in doctor.render([_UNREAD], root=True)


def test_host_with_only_notes_is_healthy() -> None:
    assert doctor.is_well([_NOTE])
    assert not doctor.is_well([_NOTE, _ERROR])
    assert doctor.describe([_ERROR]) == {
        "well": False,
        "findings": [
            {
                "id": "broken:it",
                "severity": "error",
                "message": "it is broken",
                "fix": "sudo mend it",
            }
        ],
    }


def test_status_names_a_missing_disk_in_place_of_its_space() -> None:
    assert (
        "space     the file system that belongs on /var/lib/nix is not mounted: "
        in status.render(replace(BASICS, disk=Disk(missing=True)))
    )


def test_purge_names_the_store_that_a_move_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(leftovers, "BEFORE", str(tmp_path))
    leftovers.tell_leftovers()
    assert f"  sudo rm -r --one-file-system {tmp_path}\n" in capsys.readouterr().err


def test_status_has_a_line_for_each_fact() -> None:
    text = status.render(BASICS)
    heads = [line.split(" ")[0] for line in text.splitlines() if not line.startswith(" ")]
    assert heads == [
        *("layout", "root", "packaged", "imported", "profile", "daemon", "sockets", "units"),
        *("users", "space", "garbage", "selinux", "aside", "database", "former", "upgrades"),
        "graphics",
    ]
    assert "which /usr/bin/nix and the daemon run" in text
    assert "yes: 2 store paths" in text
    assert "runs nix-2.34.8, the packaged one (process 7)" in text
    assert "8.0 GiB of 10.0 GiB free; the store has 2 paths of 1.0 MiB" in text


def test_status_names_faults() -> None:
    store = replace(
        BASICS.store, stamp=None, missing=(NIX,), valid_paths=None, aside=("one", "two")
    )
    profile = replace(BASICS.profile, nix=f"{OTHER}/bin/nix", owner="administrator")
    text = status.render(
        replace(BASICS, store=store, profile=profile, daemon=None, units={}, listening=frozenset())
    )
    assert "imported  no: sudo nix-aurora doctor" in text
    assert "nix-2.26.3 in the default profile: the administrator's own, which imports do" in text
    assert "the first connection starts it" in text
    assert text.count("no process listens") == 2
    assert "systemd does not answer" in text
    assert "the database cannot be read" in text
    assert "2 damaged, in /var/lib/nix/.nix-aurora/aside" in text


def test_unreadable_facts_are_not_reported_as_missing() -> None:
    hidden = replace(BASICS.store, stamp=None, stamp_read=False, aside=None)
    basics = replace(BASICS, store=hidden)
    assert "imported  yes: 2 store paths" in status.render(basics)
    assert status.describe(basics)["imported"] == {"id": None, "current": True}
    (note,) = judge(replace(WELL, basics=basics))
    assert (note.id, note.fix) == ("import-unread", "sudo nix-aurora doctor")
    other = replace(basics, store=replace(hidden, roots={"nix": OTHER}))
    assert "imported  differs from the package" in status.render(other)


def test_status_names_the_limits_of_a_layout() -> None:
    relocated = replace(
        BASICS,
        store=replace(BASICS.store, layout="relocated"),
        profile=replace(BASICS.profile, nix=None, owner="none"),
    )
    text = status.render(relocated)
    assert "relocated: /var/lib/nix/relocated/store, on /run/nix/store\n" in text
    assert (
        "no binary cache of /nix/store; everything is built here, from source; no devbox\n" in text
    )
    assert max(map(len, text.splitlines())) <= 100
    assert "no devbox" in json.dumps(status.describe(relocated)["limits"])
    assert status.describe(BASICS)["limits"] == []


def test_status_as_json_survives_a_round_trip() -> None:
    described = status.describe(BASICS)
    assert json.loads(json.dumps(described)) == described
    assert described["packaged"] == {"version": "2.34.8", "nix": NIX, "id": CLOSURE.id}


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (69 << 20, "69.0 MiB"), (3 << 40, "3072.0")],
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert human(size).startswith(text)


def test_store_paths_have_readable_names() -> None:
    assert paths.store_name(f"{NIX}/bin/nix") == "nix-2.34.8"
    assert paths.store_name(f"{NIX.replace('/nix', paths.BASE, 1)}/bin/nix") == "nix-2.34.8"


@pytest.mark.parametrize("line", ["nonsense", "status --yes", "doctor --js", "purge --json"])
def test_wrong_usage_is_reported(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(line.split())
    assert stop.value.code == 2
    assert "usage: nix-aurora" in capsys.readouterr().err


def test_missing_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert capsys.readouterr().out == ""


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    assert "sudo nix-aurora purge --dry-run" in capsys.readouterr().out


def test_damaged_package_is_reported_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "DESCRIPTION", "/nowhere/closure.json")
    assert cli.main(["--version"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("nix-aurora: cannot read the package: /nowhere/closure.json: expected")
    assert error.endswith("hint: rpm --verify nix-aurora\n")


def test_purge_is_refused_for_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(CommandError, match="only root") as refusal:
        purge.purge(yes=True, dry_run=False)
    assert refusal.value.code == 2


def test_purge_is_refused_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(CommandError, match="no terminal") as refusal:
        purge.purge(yes=False, dry_run=False)
    assert refusal.value.code == 2
