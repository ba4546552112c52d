"""Test when a collection is refused, and the order of its steps."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from nix_aurora_host import paths, settings
from nix_aurora_host.collection import generations, hidden, run
from nix_aurora_host.collection.hidden import Hidden
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer.closure import Closure
from nix_aurora_host.person import Person
from nix_aurora_host.settings import Fault, SettingsFile
from nix_aurora_host.system import Outcome

_NAME = f"{'a' * 32}-nix-2.34.8"


class Host:
    """A host with two users; ``did`` lists the steps in order, ``said`` the printed messages."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.did: list[str] = []
        self.said: list[str] = []
        self.code = 0
        self.failing = ""
        self.settings = SettingsFile(days=45)
        self.hidden: list[Hidden] = []
        monkeypatch.setattr(paths, "BASE", str(top))
        monkeypatch.setattr(paths, "OWN", str(top))
        monkeypatch.setattr(paths, "STATE", "/s")
        monkeypatch.setattr(paths, "DATABASE_LOST", str(top / "database-lost"))
        monkeypatch.setattr(paths, "ADOPTION", str(top / "adopt"))
        monkeypatch.setattr(settings, "gather_settings_file", lambda: self.settings)
        monkeypatch.setattr(hidden, "find_indirect", lambda: iter([("/link", "/home/u/result")]))
        monkeypatch.setattr(hidden, "find_hidden", lambda: self.hidden)
        monkeypatch.setattr(generations, "find_users", lambda _: [0, 1000, 1001])
        monkeypatch.setattr(generations, "find_person", self._find)
        monkeypatch.setattr(generations, "remove", self._remove)
        monkeypatch.setattr(run, "say", self.said.append)
        monkeypatch.setattr(run, "read_closure", lambda: Closure("", "", _NAME, "", None, "", {}))
        monkeypatch.setattr(subprocess, "run", self._run)

    def _find(self, user: int) -> Person | None:
        return None if user == 1001 else Person(user, user, f"user{user}", f"/home/{user}")

    def _remove(self, person: Person, days: int, *, dry_run: bool) -> Outcome:
        self.did.append(f"{person.name} {days}{' dry' if dry_run else ''}")
        if person.name == self.failing:
            return Outcome(1, "", "error: no\x1b[2J\n\n")
        return Outcome(0, "", "removing profile version 3\n")

    def _run(self, words: list[str], **options: dict[str, str]) -> object:
        self.did.append(Path(words[0]).name)
        assert options["env"]["NIX_REMOTE"] == "local"
        return subprocess.CompletedProcess(words, self.code)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_generations_are_removed_before_the_collection(host: Host) -> None:
    assert run.collect(dry_run=False) == 0
    assert host.did == ["user0 45", "user1000 45", "nix-collect-garbage"]
    assert host.said == [
        "generations of user0: 1 older than 45 days removed",
        "generations of user1000: 1 older than 45 days removed",
        "generations of user 1001: kept: this host has no such user",
    ]


def test_dry_run_collects_nothing(host: Host) -> None:
    assert run.collect(dry_run=True) == 0
    assert host.did == ["user0 45 dry", "user1000 45 dry"]


def test_failure_for_one_user_does_not_stop_the_collection(host: Host) -> None:
    host.failing = "user1000"
    assert run.collect(dry_run=False) == 0
    assert host.did[-1] == "nix-collect-garbage"
    assert "generations of user1000: not all could be removed: error: no\\x1b[2J" in host.said


def test_failure_for_root_is_an_error_after_the_collection(host: Host) -> None:
    host.failing = "user0"
    assert run.collect(dry_run=False) == 1
    assert host.did[-1] == "nix-collect-garbage"


def _mistyped(host: Host, _: Path) -> None:
    host.settings = SettingsFile(faults=(Fault(3, "GC_KEEP_DAYS: expected a number, got '9O'"),))


def _lost(_: Host, top: Path) -> None:
    (top / "database-lost").touch()


def _hidden(host: Host, _: Path) -> None:
    host.hidden = [
        Hidden(f"/s/gcroots/auto/{number}", "/mnt/x", "/mnt is empty") for number in range(21)
    ]


@pytest.mark.parametrize(
    ("fault", "message", "hint"),
    [
        (_mistyped, "line 3: GC_KEEP_DAYS: expected a number", "sudo nix-aurora doctor"),
        (_lost, "the database was lost", "sudo nix-aurora recover"),
        (_hidden, r"missing or not mounted \(21 found\)", "sudo rm /s/gcroots/auto/0 /s"),
    ],
)
def test_collection_that_could_lose_paths_is_refused(
    host: Host, tmp_path: Path, fault: Callable[[Host, Path], None], message: str, hint: str
) -> None:
    fault(host, tmp_path)
    with pytest.raises(CommandError, match=message) as refusal:
        run.collect(dry_run=False)
    assert "nothing was changed" in refusal.value.message
    assert (refusal.value.hint or "").startswith(hint)
    assert host.did == []


def test_hint_removes_nothing_in_a_directory_of_a_user(host: Host) -> None:
    host.hidden = [Hidden("/s/gcroots/per-user/u/d/shadow", "/mnt/x", "/mnt is empty")]
    with pytest.raises(CommandError) as refusal:
        run.collect(dry_run=False)
    assert refusal.value.hint == "ls -l /s/gcroots/per-user/u/d/shadow"


def test_collection_is_refused_during_a_takeover(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "pending", lambda: "/var/nix")
    with pytest.raises(CommandError, match="the takeover of /var/nix is not complete") as refusal:
        run.collect(dry_run=False)
    assert refusal.value.hint == "sudo nix-aurora adopt"
    assert host.did == []


def test_failed_collector_is_reported(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.code = 7
    monkeypatch.setattr("sys.argv", ["collect"])
    assert run.main() == 1
    assert "nix-collect-garbage --quiet: exit code 7" in host.said[-2]
    assert host.said[-1] == "hint: sudo nix-aurora doctor"

    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(subprocess, "run", fail)
    assert run.main() == 1
    assert host.said[-2].endswith("nix-collect-garbage: No such file or directory")


def test_hint_without_free_inodes_finds_directories_to_clean(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doctor would suggest a collection again, so the hint must not be doctor."""
    host.code = 1
    full = SimpleNamespace(f_files=20_000, f_ffree=0)
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(CommandError, match="has no free inodes") as refusal:
        run.collect(dry_run=False)
    assert refusal.value.hint == "sudo du -x --inodes --max-depth=3 /var | sort -n | tail"
    full.f_files = 0  # btrfs has no fixed number of inodes
    with pytest.raises(CommandError, match=r"exit code 1$"):
        run.collect(dry_run=False)
