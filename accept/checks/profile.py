"""Check a program in a user's profile: add it, start it in every way, and remove it."""

from collections.abc import Iterator

from accept.checks.nix import AS_ROOT
from accept.machine import SLOW, Machine
from accept.outcome import Outcome, failed, not_shown, ok
from accept.records import LONGEST, Records, ending
from nix_aurora.text import printable

IDS = ("profile-add", "bare-name", "user-unit", "desktop-entry", "profile-remove")
_NAMESPACE = "the namespace layout does not promise it: programs start inside nix-aurora shell"
_OLDER = "the user's desktop began before the profile: add a package, and log out and in"
_PROFILE = "nix profile list"
_DOCTOR = "nix-aurora doctor"


def check_profile(machine: Machine) -> Iterator[Outcome]:
    """Check that a program that is built on the host can be added to the user's profile."""
    if machine.facts.uid == 0:
        yield from (not_shown(identifier, AS_ROOT) for identifier in IDS)
        return
    layout = machine.state.layout
    given = {"PROGRAM": f"accept-{machine.token}", "LAYOUT": layout, "INSTALLABLE": ""}
    answer = machine.script("profile", given, limit=SLOW)
    yield from judge_profile(Records(answer.stdout), layout, machine.token)


def judge_profile(seen: Records, layout: str, token: str) -> Iterator[Outcome]:
    """Judge the output of profile.sh."""
    code, said = seen.coded("added")
    if code != 0:
        detail = f"exit code {code}: {ending(said)}" if said else "no answer"
        yield failed("profile-add", f"nix profile add: {detail}", "journalctl -b -u nix-daemon")
        yield from (not_shown(name, "nothing was added: see profile-add") for name in IDS[1:])
        return
    yield ok("profile-add", f"accept-{token} was added")
    expected = f"accepted {token}"
    if layout == "namespace":
        yield _judge_inside(seen, expected)
        yield not_shown("user-unit", _NAMESPACE)
        yield not_shown("desktop-entry", _NAMESPACE)
    else:
        yield _judge_shells(seen, expected)
        yield _judge_unit(seen, expected)
        yield _judge_entry(seen)
    yield _judge_removed(seen)


def _judge_inside(seen: Records, expected: str) -> Outcome:
    code, said = seen.coded("inside")
    if code == 0 and said.endswith(expected):
        return ok("bare-name", "inside nix-aurora shell, which is what the namespace layout has")
    detail = f"nix-aurora shell: exit code {code}: {ending(said)}"
    return failed("bare-name", detail, _DOCTOR)


def shells(seen: Records) -> dict[str, tuple[int | None, str]]:
    """Return the exit code and output of each login shell, by its name."""
    names = seen.names("shell:")
    return {name.partition(":")[2]: seen.coded(name) for name in names}


def _judge_shells(seen: Records, expected: str) -> Outcome:
    started = shells(seen)
    broken = {
        shell: said
        for shell, (code, said) in started.items()
        if code != 0 or not said.endswith(expected)
    }
    if broken or not started:
        said = "; ".join(f"{shell}: {printable(text, 100)}" for shell, text in broken.items())
        return failed(
            "bare-name", f"a new login does not find the program: {said or 'any shell'}", _DOCTOR
        )
    return ok("bare-name", f"in a new login of {', '.join(started)}")


def _judge_unit(seen: Records, expected: str) -> Outcome:
    code, said = seen.coded("unit")
    if code == 0 and said.endswith(expected):
        return ok("user-unit", "in a unit, after systemctl --user daemon-reload, as in a new login")
    if "Failed to connect" in said:
        return not_shown("user-unit", f"the user has no systemd: {ending(said)}")
    if seen.get("desktop") == "older":
        return not_shown("user-unit", _OLDER)
    detail = f"exit code {code}: {ending(said)}"
    return failed("user-unit", detail, "systemctl --user show-environment")


def _judge_entry(seen: Records) -> Outcome:
    code, said = seen.coded("entry")
    if code == 0:
        return ok("desktop-entry", f"in {ending(said)}")
    if seen.coded("unit")[1].find("Failed to connect") >= 0:
        return not_shown("desktop-entry", "the user has no systemd")
    if seen.get("desktop") == "older":
        return not_shown("desktop-entry", _OLDER)
    detail = ending(said) or "no answer"
    return failed("desktop-entry", detail, "systemctl --user show-environment")


def _judge_removed(seen: Records) -> Outcome:
    code, said = seen.coded("removed")
    if code != 0:
        detail = f"exit code {code}: {ending(said)}"
        return failed("profile-remove", f"nix profile remove: {detail}", _PROFILE)
    if left := seen.get("left"):
        return failed("profile-remove", f"left behind: {printable(left, LONGEST)}", _PROFILE)
    return ok("profile-remove", "the profile is unchanged")


def check_network(machine: Machine, installable: str) -> Iterator[Outcome]:
    """Check that a program from the network can be added, started and removed."""
    if machine.facts.uid == 0:
        yield not_shown("network", AS_ROOT)
        return
    program = installable.rpartition("#")[2].rpartition(".")[2]
    layout = machine.state.layout
    given = {"PROGRAM": program, "LAYOUT": layout, "INSTALLABLE": installable}
    seen = Records(machine.script("profile", given, limit=SLOW * 2).stdout)
    yield judge_network(seen, layout, installable)


def judge_network(seen: Records, layout: str, installable: str) -> Outcome:
    """Judge the output of profile.sh about a program from the network."""
    again = f"nix profile add {installable}"
    code, said = seen.coded("added")
    if code != 0:
        return failed("network", f"{again}: exit code {code}: {ending(said)}", again)
    started = {"nix-aurora shell": seen.coded("inside")} if layout == "namespace" else shells(seen)
    for shell, (status, text) in started.items():
        if status != 0:
            detail = f"{shell}: exit code {status}: {ending(text)}"
            return failed("network", f"the added program does not start: {detail}", _DOCTOR)
    said = next((text for _, text in started.values()), "")
    return ok("network", f"{installable} starts: {printable(said, 80)}")
