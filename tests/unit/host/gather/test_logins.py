"""Test reading logins: the output of shells, and the files of a home."""

import os
from pathlib import Path

import pytest
from nix_aurora_host import others
from nix_aurora_host.gather import logins
from nix_aurora_host.gather.logins import Remote, find_assignments, gather_remotes, parse_login
from nix_aurora_host.person import Person

_MARK = "\nnix-aurora: environment\n"


def test_environment_is_read_after_our_mark() -> None:
    text = (
        f"Welcome!\nPATH=/not/this\n{_MARK}PATH=/a:/b\0EMPTY=\0TWO=x\ny\0BASH_FUNC_f%%=() {{ }}\0"
    )
    assert parse_login(text) == {
        "PATH": "/a:/b",
        "EMPTY": "",
        "TWO": "x\ny",
        "BASH_FUNC_f%%": "() { }",
    }


@pytest.mark.parametrize("text", ["", "Welcome!\n", "nix-aurora: environment", "PATH=/a\0"])
def test_login_without_the_mark_has_not_ended(text: str) -> None:
    assert parse_login(text) is None


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("export NIX_REMOTE=daemon", ["daemon"]),
        ("  NIX_REMOTE='unix:///x'  # old", ["unix:///x"]),
        ('declare -x NIX_REMOTE="local"; true', ["local"]),
        ("set -gx NIX_REMOTE local\nset -Ux NIX_REMOTE ''", ["local", ""]),
        ("NIX_REMOTE=\nNIX_REMOTE=auto", ["", "auto"]),
        ("# export NIX_REMOTE=local\n: # export NIX_REMOTE=local", []),
        ("unset NIX_REMOTE\nMY_NIX_REMOTE=x\nNIX_REMOTE_X=y", []),
    ],
)
def test_assignments_are_found(text: str, values: list[str]) -> None:
    assert find_assignments(text) == values


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home; the host itself has no relevant files."""
    monkeypatch.setattr(logins, "HOST_FILES", ())
    monkeypatch.setattr(logins, "HOST_FOLDERS", {})
    monkeypatch.delenv("NIX_REMOTE", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def _remotes(home: Path) -> tuple[Remote, ...]:
    return gather_remotes(Person(os.getuid(), os.getgid(), "u", str(home)))


def test_start_up_files_are_also_read_through_links_inside_the_home(home: Path) -> None:
    (home / "dotfiles").mkdir()
    (home / "dotfiles" / "profile").write_text("NIX_REMOTE=local\n")
    (home / ".profile").symlink_to(f"{home}/dotfiles/profile")
    (home / ".config" / "environment.d").mkdir(parents=True)
    (home / ".config" / "environment.d" / "a;b.conf").write_text("NIX_REMOTE=x\n")
    (home / ".config" / "environment.d" / "other").write_text("NIX_REMOTE=y\n")
    assert _remotes(home) == (
        Remote(f"{home}/.profile", "local"),
        Remote(f"{home}/.config/environment.d/a;b.conf", "x"),
    )


def test_pipes_devices_directories_and_links_out_of_the_home_are_not_read(home: Path) -> None:
    secret = home.parent / "secret"
    secret.write_text("NIX_REMOTE=secret\n")
    os.mkfifo(home / ".profile")
    (home / ".bashrc").symlink_to("/dev/zero")
    (home / ".zshenv").symlink_to("../secret")
    (home / ".zshrc").symlink_to(str(secret))
    (home / ".zlogin").symlink_to("/proc/self/environ")
    (home / ".zprofile").symlink_to(".zprofile")
    (home / ".bash_profile").mkdir()
    (home / ".config").symlink_to("..")
    (home / ".pam_environment").symlink_to(".config/home/.bashrc")
    assert _remotes(home) == ()


def test_reading_is_limited(home: Path) -> None:
    with (home / ".profile").open("wb") as file:
        file.write(b"NIX_REMOTE=local\n")
        file.truncate(15 << 40)
    text = others.read_untrusted(str(home), ".profile")
    assert text is not None
    assert len(text) == others.LIMIT
    assert others.read_untrusted(str(home), ".profile", 17) == "NIX_REMOTE=local\n"


def test_missing_files_are_empty(home: Path) -> None:
    assert others.read_untrusted(str(home), "none") is None
    assert others.names_untrusted(str(home), "none/none") == ()
    assert others.names_untrusted(f"{home}/none", "x") == ()
    (home / "file").touch()
    assert others.names_untrusted(str(home), "file") == ()
    assert others.exists_untrusted(str(home), "file")
    assert not others.exists_untrusted(str(home), "file/x")
    assert not others.exists_untrusted(str(home), "..")


def test_no_descriptor_is_left_open(home: Path) -> None:
    (home / "a" / "b").mkdir(parents=True)
    (home / "link").symlink_to("a/b/../b/none")
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their names
    for name in ("a/b", "link", "..", "a/../a/b", "none"):
        others.read_untrusted(str(home), name)
        others.names_untrusted(str(home), name)
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
