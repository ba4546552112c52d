"""Test how the acceptance script judges a host's records, units, users and labels."""

from collections.abc import Mapping
from typing import Any

import pytest

from accept.checks import selinux, system
from accept.machine import State
from accept.outcome import Result
from accept.records import LONGEST, Answer, Records, ending, parse_object, part
from tests.unit.accept.accepting import STATUS, is_red

_UNITS = {
    "nix-daemon.socket": {"load": "loaded", "active": "active"},
    "nix.mount": {"load": "loaded", "active": "active"},
}


# --- records


def test_records_are_parsed() -> None:
    seen = Records("a 1\nb 0 two words\na 2\nempty \nc x\n")
    assert seen.all("a") == ["1", "2"]
    assert seen.get("a") == "2"
    assert seen.get("none", "default") == "default"
    assert seen.coded("b") == (0, "two words")
    assert seen.coded("c") == (None, "")
    assert seen.coded("none") == (None, "")


def test_part_of_a_value_that_is_not_an_object_is_none() -> None:
    assert parse_object(Answer(0, '{"a": 1}', "")) == {"a": 1}
    for text in ("", "[1]", "{", "[" * 100_000, "null"):
        assert parse_object(Answer(0, text, "")) is None
    assert part({"a": {"b": 1}}, "a", "b") == 1
    assert part({"a": [1]}, "a", "b") is None


def test_end_of_a_long_text_is_quoted_and_escaped() -> None:
    assert ending("a\x1b[2J\nb") == "a\\x1b[2J\\nb"
    assert ending("x" * 1000 + "error: this") == "…" + ("x" * 1000 + "error: this")[-LONGEST:]
    assert Answer(1, "", "first\nlast\x07\n").complaint == "exit code 1: last\\x07"
    assert Answer(1, "", "").complaint == "exit code 1: no output"


# --- package, layout, units, users


def test_package_is_judged_by_command_and_rpm() -> None:
    green = system.judge_package(
        Answer(0, "nix-aurora 2.34\n", ""), "nix-aurora-2.34-1.x86_64\npackage x is not installed\n"
    )
    assert (green.result, green.detail) == (
        Result.OK,
        "nix-aurora 2.34, nix-aurora-2.34-1.x86_64",
    )
    missing = Answer(127, "", "sh: nix-aurora: not found")
    assert is_red(system.judge_package(missing, ""), "not found")


@pytest.mark.parametrize(
    ("layout", "mount", "seen", "said"),
    [
        ("mount", {"root": "overlay"}, "everywhere yes\ntype overlay", "/ is an overlay"),
        ("mount", {"root": "binds"}, "everywhere yes\ntype tmpfs", "/ is made of binds"),
        ("mount", {"root": None}, "everywhere yes\ntype xfs", "/ has its own /nix"),
        ("namespace", {"switched_off": True}, "inside yes", "only inside nix-aurora shell"),
        ("relocated", {}, "everywhere yes", "/run/nix/store"),
    ],
)
def test_layout_is_green_if_the_mounts_match(
    layout: str, mount: Mapping[str, Any] | None, seen: str, said: str
) -> None:
    state = State({**STATUS, "layout": layout}, mount)
    outcome = system.judge_layout(state, Records(seen))
    assert outcome.result is Result.OK
    assert said in outcome.detail


@pytest.mark.parametrize(
    ("layout", "mount", "seen", "said"),
    [
        ("mount", {"root": "overlay"}, "everywhere no\ntype overlay", "not /var/lib/nix"),
        ("mount", {"root": "overlay"}, "everywhere yes\ntype xfs", "expected overlay, got xfs"),
        ("namespace", {"unmoved": "failed"}, "inside yes", "nothing forbids it: failed"),
        ("namespace", None, "inside yes", "nothing forbids it: unknown"),
        ("namespace", {}, "inside no", "the store is not visible"),
        ("relocated", {}, "everywhere no", "the store is not visible"),
        ("none", {}, "everywhere yes\ninside yes", "none"),
    ],
)
def test_layout_that_is_not_mounted_is_red(
    layout: str, mount: Mapping[str, Any] | None, seen: str, said: str
) -> None:
    state = State({**STATUS, "layout": layout}, mount)
    assert is_red(system.judge_layout(state, Records(seen)), said)


def test_requested_namespace_is_green() -> None:
    status = {**STATUS, "layout": "namespace", "settings": {"STORE_LAYOUT": "namespace"}}
    outcome = system.judge_layout(State(status, {"unmoved": None}), Records("inside yes"))
    assert outcome.result is Result.OK


def test_missing_status_is_red() -> None:
    outcome = system.judge_layout(State(None, None, "exit code 1: gone"), Records(""))
    assert is_red(outcome, "gone")


def test_writable_root_directory_is_red() -> None:
    read_only, writable = Records("options ro,relatime"), Records("options rw,relatime")
    refused, made = Answer(1, "", "Read-only file system"), Answer(0, "made\n", "")
    assert system.judge_read_only(refused, read_only).result is Result.OK
    assert is_red(system.judge_read_only(made, read_only), "root can make a directory")
    assert is_red(system.judge_read_only(refused, writable), "rw,relatime")


def test_failed_unit_of_ours_is_red() -> None:
    seen = Records("state running\nours nix-setup.service\nours label-root.service\n")
    assert system.judge_units(seen, _UNITS, "mount").result is Result.OK
    assert system.judge_system(seen).result is Result.OK
    failed = Records("state degraded\nours label-root.service\nfailed label-root.service\n")
    outcome = system.judge_units(failed, _UNITS, "mount")
    assert is_red(outcome, "label-root.service")
    assert outcome.next == "journalctl -b -u label-root.service"
    assert system.judge_system(failed).result is Result.NOT_SHOWN
    assert is_red(system.judge_units(Records(""), {}, "mount"), "systemd does not answer")
    masked = {**_UNITS, "nix-daemon.service": {"load": "masked"}}
    assert is_red(system.judge_units(seen, masked, "mount"), "masked: nix-daemon.service")
    stopped = {**_UNITS, "nix.mount": {"load": "loaded", "active": "inactive"}}
    assert is_red(system.judge_units(seen, stopped, "mount"), "expected active, got inactive")
    assert system.judge_units(seen, stopped, "namespace").result is Result.OK


def test_failed_units_of_others_are_named_and_not_green() -> None:
    seen = Records("state degraded\nours nix-setup.service\nfailed systemd-remount-fs.service\n")
    assert system.judge_units(seen, _UNITS, "mount").result is Result.OK
    outcome = system.judge_system(seen)
    assert outcome.result is Result.NOT_SHOWN
    assert "systemd-remount-fs.service" in outcome.detail


@pytest.mark.parametrize("state", ["starting", "maintenance", ""])
def test_system_that_is_not_up_is_red(state: str) -> None:
    assert is_red(system.judge_system(Records(f"state {state}")), state)


_GROUP = "group nixbld:x:30000:nixbld1,nixbld2\n"
_USER = "user nixbld{0} nixbld{0}:x:3000{0}:30000:Nix build user:/var/empty:{1}\n"


def test_build_users_are_judged_by_group_and_passwd() -> None:
    users = "".join(_USER.format(number, "/usr/sbin/nologin") for number in (1, 2))
    green = system.judge_users(Records(_GROUP + users))
    assert green.detail == "2 build users, ids 30001 to 30002; group 30000"
    assert is_red(system.judge_users(Records("group \n")), "no group")
    assert is_red(system.judge_users(Records("group nixbld:x:30000:\n")), "no members")
    gone = Records(f"{_GROUP}{users}user nixbld3 \n")
    assert is_red(system.judge_users(gone), "nixbld3, a member of nixbld, does not exist")
    login = Records(_GROUP + _USER.format(1, "/bin/bash"))
    assert is_red(system.judge_users(login), "its shell is /bin/bash")


# --- SELinux


_LABEL = "label system_u:object_r:{}:s0 system_u:object_r:{}:s0 {}\n"
_DENIED = (
    'denied AVC avc:  denied  {{ read }} for  pid={0} comm="{1}" name="{2}" dev="dm-0" ino=5{0} '
    "scontext=system_u:system_r:init_t:s0 tcontext=system_u:object_r:{3}:s0 tclass=file "
    "permissive={4}\n"
)


def test_labels_are_judged_by_the_policy() -> None:
    store = _LABEL.format("bin_t", "bin_t", "/var/lib/nix/store")
    assert selinux.judge_labels(Records(store)).result is Result.OK
    wrong = store + _LABEL.format("default_t", "bin_t", "/nix")
    assert is_red(selinux.judge_labels(Records(wrong)), "/nix: expected bin_t, got default_t")
    without = _LABEL.format("var_lib_t", "var_lib_t", "/var/lib/nix/store")
    assert is_red(selinux.judge_labels(Records(without)), "the module is not loaded")
    assert is_red(selinux.judge_labels(Records("")), "no path")


def test_denial_that_concerns_nix_is_red_once() -> None:
    twice = _DENIED.format(7, "nix-daemon", "x", "bin_t", 0) + _DENIED.format(
        8, "nix-daemon", "x", "bin_t", 0
    )
    outcome = selinux.judge_denials(Records(f"kept yes\n{twice}"))
    assert is_red(outcome, "1 that concern Nix; the first: avc:  denied")


def test_other_denials_are_green() -> None:
    others = _DENIED.format(7, "fwupd", "unixfile", "boot_t", 0)
    permissive = _DENIED.format(7, "systemd", "nix", "var_t", 1)
    outcome = selinux.judge_denials(Records(f"kept yes\n{others}{permissive}"))
    assert outcome.result is Result.OK
    assert "1 were allowed by a permissive domain" in outcome.detail


def test_denials_without_records_are_not_shown() -> None:
    assert selinux.judge_denials(Records("kept no\n")).result is Result.NOT_SHOWN


@pytest.mark.parametrize(
    ("line", "concerned"),
    [
        ('path="/nix/store/x" comm="bash"', True),
        ('path="/var/lib/nix/var" comm="bash"', True),
        ('path="/nixos" comm="bash"', True),
        ('comm="nix-store" name="x"', True),
        ('comm="nixie" name="x"', False),
        ('comm="systemd" name="socket" tcontext=u:r:var_lib_t:s0 tclass=sock_file', True),
        ('comm="systemd" name="socket" tcontext=u:r:var_run_t:s0 tclass=sock_file', False),
        ('comm="unix_chkpwd" name="shadow"', False),
    ],
)
def test_denials_that_concern_nix_are_recognized(line: str, concerned: bool) -> None:
    assert selinux.concerns_nix(f"avc:  denied {{ read }} for pid=1 {line}") is concerned
