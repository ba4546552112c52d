"""Test parsing Nix 2.34.8's messages about settings, and locating their faults."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from nix_aurora_host import nixconf, paths
from nix_aurora_host.gather import settings
from nix_aurora_host.gather.settings import (
    CONF,
    CUSTOM,
    Settings,
    find_unknown,
    has_started,
    parse_error,
    parse_values,
)
from nix_aurora_host.gather.store import AtNix
from nix_aurora_host.nixconf import Place
from nix_aurora_host.system import NOT_STARTED, TIMED_OUT, Outcome

from tests.unit.host.checks.test_checks import BASICS, CLOSURE, PERSON

_TRY = "Try '/nix/store/x-nix-2.34.8/bin/nix --help' for more information.\n"
_PACKAGED = """\
# Defaults of nix-aurora.
build-users-group = nixbld
sandbox = true
max-jobs = auto

!include nix.custom.conf
"""


@pytest.mark.parametrize(
    ("stderr", "error"),
    [
        (
            "warning: unknown setting 'a'\n"
            f"error: setting 'cores' has invalid value 'many'\n{_TRY}",
            "setting 'cores' has invalid value 'many'",
        ),
        ("       error: nested\n", "nested"),
        ("/nix/store/x/bin/nix: error while loading shared libraries: libz.so.1: no\n", None),
        ("Segmentation fault\n", None),
        ("nix-aurora: cannot create a user namespace\nhint: x\n", None),
        ("", None),
    ],
)
def test_errors_of_settings_differ_from_other_errors(stderr: str, error: str | None) -> None:
    assert parse_error(Outcome(1, "", stderr)) == error
    assert parse_error(Outcome(0, "", stderr)) is None
    assert parse_error(Outcome(TIMED_OUT, "", stderr)) is None


@pytest.mark.parametrize(
    ("outcome", "started"),
    [
        (Outcome(0, "{}", ""), True),
        (Outcome(TIMED_OUT, "", "nix: no answer within 20 s"), True),
        (Outcome(NOT_STARTED, "", "nix: Permission denied"), False),
        (Outcome(-11, "", ""), False),
        (Outcome(127, "", "nix: error while loading shared libraries: libz.so.1"), False),
        (Outcome(1, "", "nix-aurora: cannot create a user namespace\n"), True),
    ],
)
def test_nix_that_does_not_start_is_recognized(outcome: Outcome, started: bool) -> None:
    assert has_started(outcome) is started


_SYNTAX = "syntax error in configuration line '{}' in \"{}\""


@pytest.mark.parametrize(
    ("message", "custom", "line"),
    [
        (_SYNTAX.format("nonsense", CUSTOM), "cores = 1\nnonsense\n", 2),
        (_SYNTAX.format('x "/etc/nsswitch.conf" y', CUSTOM), 'x "/etc/nsswitch.conf" y', 1),
        (_SYNTAX.format("include", CUSTOM), "include # x\n", 1),
        (_SYNTAX.format("= x", CUSTOM), "\n= x y\n", 2),
        ("configuration setting 'max-jobs' should be 'auto' or an integer", "max-jobs = lots", 1),
        (
            "setting 'cores' has invalid value 'many'",
            "cores = many\ncores = 2\n",
            1,
        ),
        ("option 'sandbox' has invalid value 'maybe'", "build-use-sandbox = maybe", 1),
        (
            f'file "/etc/nix/missing.conf" included from "{CUSTOM}" not found',
            "!include also-missing.conf\ninclude missing.conf\n",
            2,
        ),
        ("setting 'cores' has invalid value 'many'", "!include site.conf\n", 1),
    ],
)
def test_line_of_an_error_is_found(message: str, custom: str, line: int) -> None:
    files = {CONF: _PACKAGED, CUSTOM: custom}
    assert nixconf.find_error(message, files, lambda _: False) == Place(CUSTOM, line)


def test_message_cannot_name_a_place() -> None:
    """A setting's author controls the message, so only known files are searched."""
    message = _SYNTAX.format("x", "/etc/passwd") + '\' in "/etc/shadow"'
    own = {"/home/u/.config/nix/nix.conf": "cores = 1\nx\n"}
    found = nixconf.find_error(message, own, lambda _: True)
    assert found == Place("/home/u/.config/nix/nix.conf", 2)


def test_error_without_a_line_has_no_place() -> None:
    assert (
        nixconf.find_error("something new", {CONF: _PACKAGED, CUSTOM: ""}, lambda _: True) is None
    )


def _values(**changes: object) -> Mapping[str, str]:
    values: dict[str, object] = {
        "build-users-group": "nixbld",
        "require-sigs": True,
        "sandbox": True,
        "sandbox-fallback": False,
        "trusted-users": ["root"],
        "allowed-users": ["*"],
    }
    values |= {name.replace("_", "-"): value for name, value in changes.items()}
    text = json.dumps({name: {"aliases": [], "value": value} for name, value in values.items()})
    return parse_values(text)


@pytest.mark.parametrize(
    ("values", "unsafe"),
    [
        (_values(), []),
        (_values(sandbox="relaxed", trusted_users=["root", "alice"]), []),
        (_values(build_users_group=""), ["build-users-group"]),
        (_values(sandbox=False), ["sandbox"]),
        (_values(sandbox_fallback=True), ["sandbox-fallback"]),
        (_values(require_sigs=False), ["require-sigs"]),
        (_values(trusted_users=["root", "*"]), ["trusted-users"]),
        (_values(trusted_users=["@wheel"]), ["trusted-users"]),
        (_values(allowed_users=["*", "@x"]), []),
    ],
)
def test_unsafe_settings_are_recognized(values: Mapping[str, str], unsafe: list[str]) -> None:
    assert [name for name, value in values.items() if nixconf.is_unsafe(name, value)] == unsafe


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sandbox": 1}', '{"sandbox": {"value": 1}}'])
def test_settings_in_another_form_are_not_judged(text: str) -> None:
    assert parse_values(text) == {}


def test_unsafe_lines_are_found() -> None:
    custom = (
        "extra-trusted-users = @wheel\nsandbox=false\nbuild-use-chroot = false # x\nsandbox =\n"
    )
    files = {CONF: f"{_PACKAGED}sandbox = false\n", CUSTOM: f"{custom}build-users-group =\n"}
    assert nixconf.find_unsafe(files) == {
        "trusted-users": Place(CUSTOM, 1),
        "sandbox": Place(CUSTOM, 3),
        "build-users-group": Place(CUSTOM, 5),
    }


_IDS = {"ldap": (60001,), "@staff": (60001, 60002), "alice": (1000,), "@wheel": (1000,)}


@pytest.mark.parametrize(
    ("setting", "unknown"),
    [
        ({"trusted-users": "root alice @wheel *"}, {}),
        ({"trusted-users": "root ldap"}, {"trusted-users": (60001,)}),
        ({"trusted-users": "root ldap 60001"}, {}),
        ({"allowed-users": "@staff alice"}, {"allowed-users": (60001, 60002)}),
        ({"allowed-users": "nobody-knows 12 @gone"}, {}),
    ],
)
def test_users_that_nix_cannot_find_are_numbers(
    setting: Mapping[str, str], unknown: Mapping[str, tuple[int, ...]]
) -> None:
    users, groups = frozenset({"root", "alice"}), frozenset({"wheel"})
    assert find_unknown(setting, users, groups, lambda word: _IDS.get(word, ())) == unknown


# --- the complete result, with the packaged Nix's answers


_CLOSURE = replace(CLOSURE, nix="/nix/store/x-nix")
_VALUES = json.dumps(
    {name: {"value": ["root"]} for name in nixconf.USERS}
    | {name: {"value": "true"} for name in nixconf.UNSAFE if name not in nixconf.USERS}
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with the packaged settings, which are the ones in use."""
    (tmp_path / "pristine/nix").mkdir(parents=True)
    for path in (tmp_path / "pristine/nix/nix.conf", tmp_path / "nix.conf"):
        path.write_text(_PACKAGED)
    (tmp_path / "nix.custom.conf").write_text("")
    monkeypatch.setattr(paths, "PRISTINE", str(tmp_path / "pristine"))
    for name, file in (("CONF", "nix.conf"), ("CUSTOM", "nix.custom.conf"), ("XDG", "xdg.conf")):
        monkeypatch.setattr(settings, name, str(tmp_path / file))
    monkeypatch.setattr(settings, "_NSCD", (str(tmp_path / "nscd"),))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return tmp_path


def _gather(
    monkeypatch: pytest.MonkeyPatch, shared: Outcome, own: Outcome | None = None
) -> tuple[Settings, list[Sequence[str]]]:
    """Return the settings and Nix's calls, if Nix answers ``shared``, and ``own`` to a person."""
    asked: list[Sequence[str]] = []

    def run(command: Sequence[str], *, person: object = None, **_options: object) -> Outcome:
        asked.append(command)
        return (own or Outcome(0, "", "")) if person else shared

    monkeypatch.setattr(settings, "run", run)
    return settings.gather_settings(_CLOSURE, BASICS.store, PERSON), asked


def test_valid_settings_have_values_and_no_error(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, asked = _gather(monkeypatch, Outcome(0, _VALUES, ""))
    assert (found.exists, found.differs, found.private, found.error) == (True, False, False, None)
    assert found.values["sandbox"] == "true"
    assert found.starts
    assert [command[0] for command in asked] == ["/nix/store/x-nix/bin/nix"] * 2
    (files / "nix.conf").write_text("sandbox = false\n")
    (files / "nix.custom.conf").chmod(0o600)
    found, _ = _gather(monkeypatch, Outcome(0, _VALUES, ""))
    assert (found.differs, found.private) == (True, True)
    assert found.places["sandbox"] == Place(f"{files}/nix.conf", 1)


def test_error_for_everyone_is_located_in_the_shared_files(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "nix.custom.conf").write_text("\ncores = many\n")
    error = "error: setting 'cores' has invalid value 'many'\n"
    found, asked = _gather(monkeypatch, Outcome(1, "", error))
    assert found.broken_for_all
    assert found.place == Place(f"{files}/nix.custom.conf", 2)
    assert len(asked) == 1
    found, _ = _gather(monkeypatch, Outcome(1, "", "error: something else\n"))
    # the most likely file, without a line
    assert found.place == Place(f"{files}/nix.custom.conf", 0)


def test_error_of_one_person_does_not_concern_the_daemon(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (files / "nix.conf").exists()
    error = Outcome(1, "", "error: unknown\n")
    found, _ = _gather(monkeypatch, Outcome(0, _VALUES, ""), error)
    assert (found.error, found.broken_for_all) == ("unknown", False)
    assert found.place == Place(f"{PERSON.home}/.config/nix/nix.conf", 0)


def test_nix_is_not_run_before_it_is_imported(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "nix.conf").unlink()
    monkeypatch.setattr(settings, "run", lambda *_words, **_options: pytest.fail("Nix was run"))
    store = replace(BASICS.store, missing=(_CLOSURE.nix,))
    assert settings.gather_settings(_CLOSURE, store, PERSON) == Settings(exists=False)


def test_nix_runs_in_a_namespace_if_the_host_has_no_nix(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (files / "nix.conf").exists()
    asked: list[Sequence[str]] = []
    options: list[Mapping[str, str]] = []

    def run(command: Sequence[str], *, environment: Mapping[str, str], **_: object) -> Outcome:
        asked.append(command)
        options.append(environment)
        return Outcome(0, _VALUES, "")

    monkeypatch.setattr(settings, "run", run)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    store = replace(BASICS.store, nix=AtNix.NOTHING)
    settings.gather_settings(_CLOSURE, store, replace(PERSON, uid=0))
    assert asked[0][0] == "/usr/libexec/nix-aurora/with-nix"
    assert options[0]["NIX_USER_CONF_FILES"].endswith(f"/.config/nix/nix.conf:{files}/xdg.conf")
