"""Test that old generations of profiles are found, and removed only as their owners."""

import os
import subprocess
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.collection import generations
from nix_aurora_host.person import Person
from nix_aurora_host.system import Outcome

_WIPE = Path("payload/usr/libexec/nix-aurora/wipe-history").resolve()
_USER = Person(1000, 100, "user", "/home/user")
_ROOT = Person(0, 0, "root", "/root")


def test_owners_of_profiles_are_found_and_root_is_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setattr(generations, "_PER_USER", str(tmp_path))
    assert generations.find_users([]) == sorted({0, os.getuid()})
    monkeypatch.setattr(generations, "_PER_USER", str(tmp_path / "missing"))
    assert generations.find_users([str(tmp_path / "gone")]) == [0]
    (own / "link").symlink_to("/nowhere")  # a user's link may have any target
    assert generations.find_users([str(own / "link")]) == sorted({0, os.getuid()})


def test_user_is_looked_up_by_id() -> None:
    found = generations.find_person(0)
    assert found is not None
    assert (found.uid, found.name) == (0, "root")
    assert generations.find_person(2**31 - 5) is None


def test_directories_of_a_user_are_fixed() -> None:
    """Users control their links, so no link decides where generations are removed."""
    assert generations.list_directories(_USER) == [
        f"{paths.PROFILES}/per-user/user",
        "/home/user/.local/state/nix/profiles",
    ]
    assert generations.list_directories(_ROOT)[0] == paths.PROFILES


def test_removal_runs_as_the_user_without_the_users_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[list[str], dict[str, object]]] = []

    def note(words: list[str], **options: object) -> Outcome:
        calls.append((words, options))
        return Outcome(0, "", "")

    monkeypatch.setattr(generations, "run", note)
    generations.remove(_USER, 30, dry_run=False)
    generations.remove(_USER, 7, dry_run=True)
    assert [words[1] for words, _ in calls] == ["30", "dry-run:7"]
    for _, options in calls:
        assert options["person"] is _USER
        assert options["environment"] == {
            "HOME": "/home/user",
            "NIX_USER_CONF_FILES": "/dev/null",
        }


def test_generations_are_counted() -> None:
    said = "removing profile version 3\nremoving profile version 4\nwarning: x\n"
    assert generations.count(Outcome(0, "", said)) == 2
    assert generations.count(Outcome(0, "", "would remove profile version 3\n")) == 1


@pytest.fixture
def wipe(tmp_path: Path) -> Path:
    """Return the script with a fake nix, which prints its arguments and fails for one profile."""
    nix = tmp_path / "nix"
    nix.write_text('#!/bin/sh\necho "$@"\ncase "$*" in *bad*) exit 1 ;; esac\n')
    nix.chmod(0o755)
    script = tmp_path / "wipe-history"
    script.write_text(_WIPE.read_text().replace("=/usr/bin/nix\n", f"={nix}\n"))
    script.chmod(0o755)
    return script


def _profiles(tmp_path: Path, *names: str) -> Path:
    directory = tmp_path / "profiles with spaces"
    directory.mkdir()
    for name in names:
        (directory / f"{name}-1-link").symlink_to("/nix/store/x")
        (directory / name).symlink_to(f"{name}-1-link")
    (directory / "folder").mkdir()
    (directory / "file").touch()
    return directory


def test_each_profile_is_wiped_and_nothing_else(wipe: Path, tmp_path: Path) -> None:
    directory = _profiles(tmp_path, "profile", "-dash")
    done = subprocess.run(
        [wipe, "30", tmp_path / "missing", directory], capture_output=True, text=True, check=True
    )
    for name in ("profile", "-dash"):
        assert f"wipe-history --profile {directory}/{name} --older-than 30d\n" in done.stdout
    assert done.stdout.count("\n") == 2


def test_dry_run_is_passed_on_to_nix(wipe: Path, tmp_path: Path) -> None:
    directory = _profiles(tmp_path, "profile")
    done = subprocess.run(
        [wipe, "dry-run:7", directory], capture_output=True, text=True, check=True
    )
    assert f"--dry-run --profile {directory}/profile --older-than 7d\n" in done.stdout


def test_failed_profile_does_not_stop_the_others(wipe: Path, tmp_path: Path) -> None:
    directory = _profiles(tmp_path, "a-bad", "b")
    done = subprocess.run([wipe, "30", directory], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{directory}/b " in done.stdout
