"""Test how the acceptance script judges doctor, daemon, builds, profiles and deployments."""

import pytest

from accept.checks import deployments, nix, profile
from accept.checks.deployments import Deployments
from accept.outcome import Result
from accept.records import Answer, Records
from tests.unit.accept.accepting import DONE, STATUS, as_json, is_red

# --- doctor, daemon, build, collection


def test_doctor_is_judged_by_its_faults_and_exit_code() -> None:
    note = {"id": "a", "severity": "note", "message": "m", "fix": None}
    fault = {"id": "b:c", "severity": "error", "message": "bad\x1b", "fix": "sudo x"}
    well = nix.judge_doctor("doctor", as_json({"well": True, "findings": [note]}))
    assert (well.result, well.detail) == (Result.OK, "all is well; 1 notes")
    ill = nix.judge_doctor("doctor", as_json({"well": False, "findings": [note, fault]}, 1))
    assert is_red(ill, "bad\\x1b [b:c]")
    assert ill.next == "sudo x"
    assert is_red(nix.judge_doctor("doctor", Answer(1, "Traceback", "oh")), "oh")
    assert is_red(nix.judge_doctor("doctor", as_json({"well": True, "findings": []}, 1)), "exit")


def test_daemon_is_judged_by_its_version() -> None:
    client = Answer(0, "nix (Determinate Nix 3.22.1) 2.35.2\n", "")
    daemon = Answer(0, "Store URL: daemon\nVersion: 2.35.2\nTrusted: 0\n", "")
    assert nix.judge_daemon(client, daemon, STATUS).result is Result.OK
    older = Answer(0, "Version: 2.34\n", "")
    assert is_red(nix.judge_daemon(client, older, STATUS), "got 2.34")
    assert is_red(nix.judge_daemon(client, DONE, STATUS), "got no version")
    assert is_red(nix.judge_daemon(Answer(127, "", ""), daemon, STATUS), "nix --version")
    assert is_red(nix.judge_daemon(client, Answer(1, "", "refused"), STATUS), "refused")
    other = {**STATUS, "daemon": {"program": "/nix/store/old-nix/bin/nix"}}
    assert is_red(nix.judge_daemon(client, daemon, other), "old-nix")


_BUILT = "built 0 \ntop /bin\ntop /nix\ntop /tmp\nmap       1000      30001          1\n"


def test_build_in_a_sandbox_is_green() -> None:
    outcome = nix.judge_build(Records(_BUILT), {"30001"}, 1000)
    assert outcome.detail == "in a sandbox, as the build user 30001"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("built 1 error: no", "error: no"),
        ("", "exit code None"),
        ("built 0 \n", "cannot read the build's result"),
        (f"{_BUILT}top /usr\n", "the build saw /usr of the host"),
        ("built 0 \ntop /bin\nmap 0 0 4294967295\n", "no user namespace"),
        ("built 0 \ntop /bin\nmap 1000 1000 1\n", "1000 is not a build user's"),
        ("built 0 \ntop /bin\nmap 1000 0 1\n", "0 is not a build user's"),
        ("built 0 \ntop /bin\nmap 1000 5 1\n", "5 is not a build user's"),
        ("built 0 \ntop /bin\nmap 1000\n", "cannot read the build's result"),
    ],
)
def test_build_outside_a_sandbox_is_red(text: str, said: str) -> None:
    assert is_red(nix.judge_build(Records(text), {"30001"}, 1000), said)


_COLLECTED = "collected 0 x 12 store paths deleted, 4.5 MiB freed\nkept 0 \ngarbage 1 \nruns 0 \n"


def test_collection_is_green_with_its_figures() -> None:
    outcome = nix.judge_collect(Records(_COLLECTED))
    assert outcome.detail == "12 store paths deleted, 4.5 MiB freed"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("kept 1 ", "with a root was deleted"),
        ("garbage 0 ", "without a root was kept"),
        ("runs 127 ", "does not start any more"),
        ("collected 1 denied", "denied"),
    ],
)
def test_collection_that_deletes_too_much_or_too_little_is_red(name: str, said: str) -> None:
    assert is_red(nix.judge_collect(Records(f"{_COLLECTED}{name}\n")), said)


def test_collection_that_did_not_begin_is_red() -> None:
    assert is_red(nix.judge_collect(Records("")), "nix-store --add failed")


# --- profile


_PROFILE = (
    "added 0 \nshell:bash 0 welcome accepted t\nshell:zsh 0 accepted t\ninside 0 accepted t\n"
    "unit 0 accepted t\nentry 0 /home/x/share/applications\nremoved 0 \n"
)


def _results(text: str, layout: str = "mount") -> dict[str, Result]:
    outcomes = list(profile.judge_profile(Records(text), layout, "t"))
    assert tuple(outcome.id for outcome in outcomes) == profile.IDS
    assert all(outcome.next for outcome in outcomes if outcome.result is Result.FAILED)
    return {outcome.id: outcome.result for outcome in outcomes}


def test_working_profile_is_green() -> None:
    assert set(_results(_PROFILE).values()) == {Result.OK}
    namespace = _results(_PROFILE, "namespace")
    assert namespace == dict.fromkeys(profile.IDS, Result.OK) | {
        "user-unit": Result.NOT_SHOWN,
        "desktop-entry": Result.NOT_SHOWN,
    }


@pytest.mark.parametrize(
    ("line", "red"),
    [
        ("shell:zsh 127 not found", {"bare-name"}),
        ("shell:fish 0 something else", {"bare-name"}),
        ("unit 1 no", {"user-unit"}),
        ("entry 1 not there", {"desktop-entry"}),
        ("removed 1 no", {"profile-remove"}),
        ("left a generation", {"profile-remove"}),
    ],
)
def test_each_way_to_start_a_program_has_an_outcome(line: str, red: set[str]) -> None:
    results = _results(f"{_PROFILE}{line}\n")
    assert {name for name, result in results.items() if result is Result.FAILED} == red


@pytest.mark.parametrize("text", ["", "added 1 error\n"])
def test_program_that_was_not_added_is_not_shown(text: str) -> None:
    others = dict.fromkeys(profile.IDS[1:], Result.NOT_SHOWN)
    assert _results(text) == {"profile-add": Result.FAILED, **others}


def test_user_without_systemd_is_not_shown() -> None:
    text = f"{_PROFILE}unit 1 Failed to connect to bus\nentry 1 \n"
    results = _results(text)
    assert results["user-unit"] is Result.NOT_SHOWN
    assert results["desktop-entry"] is Result.NOT_SHOWN


def test_desktop_older_than_the_profile_is_not_shown() -> None:
    text = f"{_PROFILE}desktop older\n"
    assert set(_results(text).values()) == {Result.OK}
    results = _results(f"{text}unit 127 not found\nentry 1 not in XDG_DATA_DIRS\n")
    assert results["user-unit"] is Result.NOT_SHOWN
    assert results["desktop-entry"] is Result.NOT_SHOWN


def test_program_from_the_network_is_judged_in_each_shell() -> None:
    seen = "added 0 \nshell:bash 0 devbox 0.17\ninside 0 devbox\n"
    judged = profile.judge_network(Records(seen), "mount", "nixpkgs#devbox")
    assert judged.detail == "nixpkgs#devbox starts: devbox 0.17"
    broken = profile.judge_network(Records(f"{seen}shell:zsh 127 no\n"), "mount", "a#b")
    assert is_red(broken, "zsh: exit code 127: no")
    assert is_red(profile.judge_network(Records("added 1 no"), "mount", "a#b"), "a#b")


# --- deployments


_FIRST, _SECOND = f"{'a' * 64}.0", f"{'b' * 64}.1"


def test_deployments_are_parsed() -> None:
    text = (
        f"line * default {_FIRST}\nline origin refspec: x\nline default {_SECOND} (rollback)\n"
        "line Version: 44.20260101.0\n"
    )
    assert Deployments.of(Records(text)) == Deployments((_FIRST, _SECOND), 0, staged=False)
    waiting = f"line default {_SECOND} (pending)\nline * default {_FIRST}\nstaged yes\n"
    assert Deployments.of(Records(waiting)) == Deployments((_SECOND, _FIRST), 1, staged=True)
    none = Deployments.of(Records("line no deployments\n"))
    assert none == Deployments((), None, staged=False)
    assert is_red(deployments.judge_ostree(none), "no booted deployment")


def test_rpm_ostree_is_judged_by_its_booted_deployment() -> None:
    booted = {"booted": True, "version": "44.1", "requested-packages": ["nix-aurora"]}
    green = deployments.judge_rpm_ostree(as_json({"deployments": [{}, booted]}))
    assert (green.result, green.detail) == (Result.OK, "booted 44.1; layered: nix-aurora")
    assert is_red(deployments.judge_rpm_ostree(as_json({"deployments": []})), "no booted")
    assert is_red(deployments.judge_rpm_ostree(Answer(1, "", "error: no")), "error: no")


def test_bootc_is_judged_by_its_booted_image() -> None:
    image = {"status": {"booted": {"image": {"image": {"image": "ghcr.io/x/y"}}}}}
    assert deployments.judge_bootc(as_json(image)).detail == "booted ghcr.io/x/y"
    local = deployments.judge_bootc(as_json({"status": {"booted": {"image": None}}}))
    assert local.result is Result.OK
    assert "local changes" in local.detail
    assert is_red(deployments.judge_bootc(as_json({"status": {"booted": None}})), "no booted")
