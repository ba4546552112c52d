"""Test reading the kind of host, another Nix, labels, users and logins from the system."""

import os
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from nix_aurora_host import paths, system
from nix_aurora_host.gather import host, logins
from nix_aurora_host.gather.host import Label, gather_foreign, gather_host, gather_labels
from nix_aurora_host.gather.logins import Remote, gather_remotes, gather_shells
from nix_aurora_host.gather.users import find_person, gather_users
from nix_aurora_host.person import LostProfile, Person
from nix_aurora_host.system import NOT_STARTED, Outcome

from tests.unit.host.checks.test_checks import CLOSURE


def _answer(monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, Outcome]) -> None:
    """Fake the output of programs by the name of their file; others cannot be started."""

    def run(command: Sequence[str], **_options: object) -> Outcome:
        return answers.get(Path(command[0]).name, Outcome(NOT_STARTED, "", "not here"))

    monkeypatch.setattr(host, "run", run)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Return the user of this process, with a home in the test's directory."""
    (tmp_path / "home").mkdir()
    return Person(os.getuid(), os.getgid(), pwd.getpwuid(os.getuid()).pw_name, f"{tmp_path}/home")


def test_host_follows_from_the_output_of_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    _answer(monkeypatch, {"image-host": Outcome(0, "", "")})
    assert gather_host(ask_rpm_ostree=True).image
    _answer(monkeypatch, {"image-host": Outcome(1, "", "")})
    found = gather_host(ask_rpm_ostree=True)
    assert (found.image, found.layered) == (False, False)


def test_another_nix_is_found_by_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fedora-packages").write_text("nix\nnix-core\n")
    monkeypatch.setattr(paths, "FEDORA_PACKAGES", str(tmp_path / "fedora-packages"))
    _answer(monkeypatch, {"rpm": Outcome(1, "nix-core\npackage nix is not installed\n", "")})
    assert gather_foreign().packages == ("nix-core",)
    _answer(monkeypatch, {})
    assert gather_foreign().packages == ()


def test_labels_are_compared_with_the_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_ENFORCE", str(tmp_path / "enforce"))
    assert gather_labels(CLOSURE, frozenset()) is None
    (tmp_path / "enforce").write_text("1")
    _answer(monkeypatch, {"matchpathcon": Outcome(0, "/\tsystem_u:object_r:root_t:s0\n", "")})
    monkeypatch.setattr(os, "getxattr", lambda *_words, **_options: b"u:object_r:etc_t:s0\0")
    labels = gather_labels(CLOSURE, frozenset({paths.SOCKETS[0]}))
    assert labels is not None
    assert labels[0] == Label("/", "u:object_r:etc_t:s0", "system_u:object_r:root_t:s0")
    assert labels[-1] == Label(paths.SOCKETS[0], "u:object_r:etc_t:s0", None)


def test_file_without_a_label_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "enforce").touch()
    monkeypatch.setattr(host, "_ENFORCE", str(tmp_path / "enforce"))
    monkeypatch.setattr(paths, "STORE", str(tmp_path / "none"))
    _answer(monkeypatch, {})
    labels = gather_labels(CLOSURE, frozenset()) or ()
    assert {label.context for label in labels if label.path == paths.STORE} == {None}


def test_build_users_are_the_members_of_their_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sysusers = tmp_path / "nix-aurora.conf"
    sysusers.write_text("g nixbld -\nm root nixbld\nm nobody-at-all nixbld\n")
    monkeypatch.setattr(paths, "SYSUSERS", str(sysusers))
    group = SimpleNamespace(gr_gid=987, gr_mem=["root", "nobody-at-all"])
    monkeypatch.setattr("grp.getgrnam", lambda _name: group)
    found = gather_users()
    assert (found.group, found.ids, found.absent) == (987, {"root": 0}, ("nobody-at-all",))

    def refuse(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr("grp.getgrnam", refuse)
    assert gather_users().group is None
    assert gather_users().absent == ("root", "nobody-at-all")


def test_person_under_sudo_is_the_caller_of_sudo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".nix-profile").symlink_to("/nix/var/nix/profiles/per-user/gone/profile")
    entry = SimpleNamespace(pw_gid=1000, pw_name="me", pw_dir=str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "1000")
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: entry)
    gone = "/var/lib/nix/var/nix/profiles/per-user/gone/profile"
    assert find_person() == Person(1000, 1000, "me", str(tmp_path), True, LostProfile.FOLDER, gone)
    monkeypatch.setenv("SUDO_UID", "0")
    assert not find_person().through_sudo


def test_unknown_user_has_the_home_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", refuse)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    monkeypatch.setenv("HOME", "/somewhere")
    assert (find_person().name, find_person().home) == ("12345", "/somewhere")


def test_login_of_bash_is_read_with_the_users_settings(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "PRISTINE", str(tmp_path / "pristine"))
    Path(person.home, ".bash_login").write_text("export MINE='a b'\necho noise\n")
    (bash,) = (shell for shell in gather_shells(person) if shell.name == "bash")
    assert bash.environment is not None
    assert bash.environment["MINE"] == "a b"
    assert bash.environment["HOME"] == person.home
    assert (bash.script, bash.script_intact) == (None, True)
    assert bash.startup == f"{person.home}/.bash_login"


def test_login_that_ends_early_has_no_environment(person: Person) -> None:
    Path(person.home, ".bash_profile").write_text("exit 3\n")
    (bash,) = (shell for shell in gather_shells(person) if shell.name == "bash")
    assert bash.environment is None


def test_each_place_that_sets_nix_remote_is_found(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "profile.d").mkdir()
    (tmp_path / "profile.d/old.sh").write_text("export NIX_REMOTE=daemon\n")
    (tmp_path / "profile.d/old.txt").write_text("export NIX_REMOTE=x\n")
    (tmp_path / "environment").write_text("NIX_REMOTE=/old\n")
    monkeypatch.setattr(logins, "HOST_FILES", (str(tmp_path / "environment"),))
    monkeypatch.setattr(logins, "HOST_FOLDERS", {str(tmp_path / "profile.d"): ".sh"})
    folder = Path(person.home, ".config/environment.d")
    folder.mkdir(parents=True)
    (folder / "nix.conf").write_text("NIX_REMOTE=unix:///x\n")
    Path(person.home, ".profile").write_text("NIX_REMOTE='y'\n")
    monkeypatch.setenv("NIX_REMOTE", "here")
    assert set(gather_remotes(person)) == {
        Remote(f"{tmp_path}/environment", "/old"),
        Remote(f"{tmp_path}/profile.d/old.sh", "daemon"),
        Remote(f"{folder}/nix.conf", "unix:///x"),
        Remote(f"{person.home}/.profile", "y"),
        Remote(None, "here"),
    }


def test_command_of_a_person_runs_in_a_session_without_a_terminal(person: Person) -> None:
    outcome = system.run(["bash", "-c", "id -u; pwd; [ ! -t 0 ]"], person=person)
    assert (outcome.code, outcome.stdout) == (0, f"{person.uid}\n/\n")
