"""Nix's settings: what Nix 2.34.8 says about faults, and where they are."""

import json
from collections.abc import Mapping

import pytest
from nix_aurora_host import nixconf
from nix_aurora_host.gather.settings import (
    CONF,
    CUSTOM,
    find_unknown,
    has_started,
    parse_error,
    parse_values,
)
from nix_aurora_host.nixconf import Place
from nix_aurora_host.system import NOT_STARTED, TIMED_OUT, Outcome

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
def test_errors_of_settings_are_told_from_others(stderr: str, error: str | None) -> None:
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
def test_a_nix_that_does_not_start_is_known(outcome: Outcome, started: bool) -> None:
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
def test_the_line_of_an_error_is_found(message: str, custom: str, line: int) -> None:
    files = {CONF: _PACKAGED, CUSTOM: custom}
    assert nixconf.find_error(message, files, lambda _: False) == Place(CUSTOM, line)


def test_a_message_cannot_name_a_place() -> None:
    """The file's writer decides what it says; only files that doctor knows are searched."""
    message = _SYNTAX.format("x", "/etc/passwd") + '\' in "/etc/shadow"'
    own = {"/home/u/.config/nix/nix.conf": "cores = 1\nx\n"}
    found = nixconf.find_error(message, own, lambda _: True)
    assert found == Place("/home/u/.config/nix/nix.conf", 2)


def test_an_error_in_no_line_has_no_place() -> None:
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
def test_unsafe_settings_are_known(values: Mapping[str, str], unsafe: list[str]) -> None:
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
