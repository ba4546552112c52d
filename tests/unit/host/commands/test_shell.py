"""Test nix-aurora shell, and the messages about the namespace layout."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from nix_aurora_host import cli, paths
from nix_aurora_host.checks.everything import judge
from nix_aurora_host.commands import shell
from nix_aurora_host.finding import Severity
from nix_aurora_host.gather.store import AtNix
from nix_aurora_host.nix_root.facts import NixRoot
from nix_aurora_host.report import doctor, status

from tests.unit.host.checks.test_checks import BASICS, WELL

_STORE = replace(BASICS.store, layout="namespace", nix=AtNix.NOTHING)


class _Started(Exception):  # noqa: N818 - what exec does instead of returning
    pass


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Restore the signals of the tests, which the command resets for its child."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGPIPE, signal.SIGXFSZ)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("shell", ["/bin/mine"]),
        ("shell ls -l --json /", ["ls", "-l", "--json", "/"]),
        ("shell -- ls --help", ["ls", "--help"]),
        ("shell ls -- -l", ["ls", "--", "-l"]),
        ("shell nix-aurora shell --help", ["nix-aurora", "shell", "--help"]),
    ],
)
def test_command_is_started_with_its_exact_words(
    line: str, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def execv(path: str, arguments: list[str]) -> None:
        started.append((path, arguments[2:]))
        raise _Started

    monkeypatch.setenv("SHELL", "/bin/mine")
    monkeypatch.setattr("os.execv", execv)
    monkeypatch.setattr("os.isatty", lambda _: False)
    with pytest.raises(_Started):
        cli.main(line.split())
    assert started == [("/usr/libexec/nix-aurora/with-nix", command)]
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL


def test_each_kind_of_shell_gets_its_greeting() -> None:
    assert shell.greeting(namespace=False, inside=False, root=False) == ""
    first = shell.greeting(namespace=True, inside=False, root=False)
    assert len(first.splitlines()) == 2
    assert max(map(len, first.splitlines())) <= 100
    for word in ("exit leaves it", "sudo, su and pkexec do not work", "nix-aurora mount enable"):
        assert word in first
    assert "do not work" not in shell.greeting(namespace=True, inside=False, root=True)
    again = shell.greeting(namespace=True, inside=True, root=False)
    assert "inside nix-aurora shell" in again
    assert len(again.splitlines()) == 1


def test_status_explains_the_layout() -> None:
    for nix in (AtNix.NOTHING, AtNix.OURS):
        text = status.render(replace(BASICS, store=replace(_STORE, nix=nix)))
        assert "nix-aurora shell" in text.split("packaged")[0]
        assert max(map(len, text.splitlines())) <= 100
    assert status.render(BASICS).startswith("layout    mount: /var/lib/nix on /nix\n")


def test_missing_nix_directory_is_only_a_note() -> None:
    basics = replace(BASICS, store=_STORE, nix_root=NixRoot(asked="namespace"))
    (note,) = judge(replace(WELL, basics=basics))
    assert (note.id, note.severity) == ("nix-directory-missing", Severity.NOTE)
    assert note.fix == "sudo nix-aurora mount enable"
    assert doctor.is_well([note])
    # If mount is enabled and /nix is missing, nix-root.service is the unit to examine.
    enabled = replace(basics, nix_root=NixRoot())
    assert {found.id for found in judge(replace(WELL, basics=enabled))} == {"nix-root-not-yet"}


def test_relocated_layout_has_no_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "RELOCATED", True)
    assert cli.main(["shell"]) == 2
    assert (
        "cannot start a shell with /nix: the relocated layout has none" in capsys.readouterr().err
    )


def test_missing_wrapper_is_an_error_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shell, "_START", ("/nowhere/with-nix", "/nowhere/shell"))
    assert cli.main(["shell", "true"]) == 1
    error = capsys.readouterr().err
    assert "/nowhere/with-nix: [Errno 2] No such file" in error
    assert error.endswith("hint: nix-aurora doctor\n")


def test_interactive_shell_is_the_users_and_starts_with_a_greeting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = []

    def execv(_path: str, arguments: list[str]) -> None:
        started.append(arguments[-1])
        raise _Started

    (tmp_path / "layout").write_text("namespace\n")
    monkeypatch.setattr(paths, "RUN", str(tmp_path))
    monkeypatch.setattr(paths, "BASE", str(tmp_path / "none"))
    monkeypatch.setattr("os.execv", execv)
    monkeypatch.setattr("os.isatty", lambda _: True)
    monkeypatch.delenv("SHELL", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: SimpleNamespace(pw_shell="/bin/odd"))
    with pytest.raises(_Started):
        cli.main(["shell"])
    assert "a shell that sees /nix" in capsys.readouterr().err

    def refuse(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", refuse)
    with pytest.raises(_Started):
        cli.main(["shell"])
    assert started == ["/bin/odd", "/bin/sh"]
