"""Check the package, the layout, the units, and the build users."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from accept.machine import Machine, State
from accept.outcome import Outcome, failed, not_shown, ok
from accept.records import Answer, Records, members, part

_DOCTOR = "sudo nix-aurora doctor"
_STATUS = "nix-aurora status"
_KINDS = {"overlay": "/ is an overlay with /nix", "binds": "/ is made of binds, with /nix"}
NEEDS_ROOT = "needs root: sudo asks for a password"
_NO_LOGIN = ("/nologin", "/false")


def check_package(machine: Machine) -> Iterator[Outcome]:
    """Check that the package is installed."""
    answer = machine.run("nix-aurora --version")
    packages = machine.run("rpm -q nix-aurora nix-aurora-selinux").stdout
    yield judge_package(answer, packages)


def judge_package(answer: Answer, packages: str) -> Outcome:
    """Judge the output of ``nix-aurora --version`` and of rpm."""
    if answer.code != 0:
        install = "sudo rpm-ostree install ./nix-aurora-*.rpm && systemctl reboot"
        return failed("package", f"nix-aurora --version: {answer.complaint}", install)
    named = [line for line in packages.split("\n") if line.startswith("nix-aurora-")]
    return ok("package", ", ".join((answer.stdout.strip(), *named)))


def check_layout(machine: Machine) -> Iterator[Outcome]:
    """Check that the store is mounted where the layout says, and that moved roots are read-only."""
    seen = machine.records("layout")
    yield judge_layout(machine.state, seen)
    moved = part(machine.state.mount, "root")
    if not moved:
        yield not_shown("read-only", "this boot did not move the root directory")
    elif not machine.facts.root:
        yield not_shown("read-only", NEEDS_ROOT)
    else:
        trial = machine.run("d=$(mktemp -d /.accept.XXXXXX) && rmdir $d && echo made", root=True)
        yield judge_read_only(trial, seen)


def judge_layout(state: State, seen: Records) -> Outcome:
    """Judge the layout in nix-aurora's status by the mounts."""
    if state.status is None:
        return failed("layout", f"nix-aurora status --json: {state.complaint}", _STATUS)
    layout = state.layout
    if layout == "mount":
        return _judge_mount(str(part(state.mount, "root")), seen)
    if layout == "relocated" and seen.get("everywhere") == "yes":
        return ok("layout", "relocated: the store is on /run/nix/store")
    if layout == "namespace" and seen.get("inside") == "yes":
        return _judge_namespace(state)
    return failed("layout", f"{layout}: the store is not visible", _STATUS)


def _judge_mount(kind: str, seen: Records) -> Outcome:
    if kind == "overlay" and seen.get("type") != "overlay":
        got = f"/ is said to be an overlay: expected overlay, got {seen.get('type')}"
        return failed("layout", got, "findmnt /")
    if seen.get("everywhere") != "yes":
        return failed("layout", "mount: /nix is not /var/lib/nix", "systemctl status nix.mount")
    return ok("layout", f"mount: {_KINDS.get(kind, '/ has its own /nix')}")


def _judge_namespace(state: State) -> Outcome:
    """Judge why / has no /nix: the host must have /nix unless the user disabled it."""
    if part(state.status, "settings", "STORE_LAYOUT") == "namespace":
        why = "STORE_LAYOUT=namespace"
    elif part(state.mount, "switched_off"):
        why = "the kernel argument nix_aurora.root=off"
    else:
        reason = part(state.mount, "unmoved") or "unknown"
        detail = f"/ was not moved onto a root with /nix, though nothing forbids it: {reason}"
        return failed("layout", detail, "nix-aurora mount status")
    return ok("layout", f"namespace, by {why}: /nix only inside nix-aurora shell")


def judge_read_only(trial: Answer, seen: Records) -> Outcome:
    """Judge root's attempt to create a directory in /."""
    options = seen.get("options").split(",")
    if "made" in trial.stdout.split():
        return failed("read-only", "root can make a directory in /", "findmnt /")
    if "ro" not in options:
        return failed("read-only", f"/ is mounted with {seen.get('options')}", "findmnt /")
    return ok("read-only", "root cannot make a directory in /")


def check_units(machine: Machine) -> Iterator[Outcome]:
    """Check that no unit has failed."""
    seen = machine.records("units")
    units = members(part(machine.state.status, "units"))
    yield judge_units(seen, units, machine.state.layout)
    yield judge_system(seen)


def judge_units(seen: Records, units: Mapping[str, Any], layout: str) -> Outcome:
    """Judge the units of the package; ``units`` come from its status."""
    if not units:
        return failed("units", "systemd does not answer", "systemctl status")
    if broken := _ours(seen):
        return failed("units", f"failed: {', '.join(broken)}", f"journalctl -b -u {broken[0]}")
    if masked := [name for name, unit in units.items() if part(unit, "load") == "masked"]:
        return failed("units", f"masked: {', '.join(masked)}", f"sudo systemctl unmask {masked[0]}")
    mounts = {"mount": ["nix.mount"], "relocated": ["run-nix-store.mount"]}
    for name in ("nix-daemon.socket", *mounts.get(layout, [])):
        if (active := part(units, name, "active")) != "active":
            detail = f"{name}: expected active, got {active}"
            return failed("units", detail, f"sudo systemctl restart {name}")
    return ok("units", f"none of {len(set(seen.all('ours'))) or len(units)} failed")


def judge_system(seen: Records) -> Outcome:
    """Judge the state of the system; units of other packages may fail without us."""
    state, ours = seen.get("state"), _ours(seen)
    others = [unit for unit in seen.all("failed") if unit not in ours]
    if state == "running":
        return ok("system", "running")
    if state == "degraded" and others:
        reason = f"degraded by units that are not of nix-aurora: {', '.join(others)}"
        return not_shown("system", f"{reason}; whether they fail without it is not known")
    if state == "degraded" and ours:
        return not_shown("system", "degraded by units of nix-aurora alone: see units")
    return failed("system", f"expected running, got {state or 'no answer'}", "systemctl list-jobs")


def _ours(seen: Records) -> list[str]:
    """Return the failed units that belong to the package, or have similar names."""
    ours = set(seen.all("ours"))
    return [
        unit for unit in seen.all("failed") if unit in ours or unit.startswith(("nix-", "nix."))
    ]


def check_users(machine: Machine) -> Iterator[Outcome]:
    """Check that the build users exist."""
    yield judge_users(machine.records("users"))


def judge_users(seen: Records) -> Outcome:
    """Judge the build group and its members by their lines of /etc/group and /etc/passwd."""
    group = seen.get("group").split(":")
    if len(group) != 4:
        return failed("users", "there is no group nixbld", _DOCTOR)
    ids = []
    for entry in seen.all("user"):
        name, _, line = entry.partition(" ")
        fields = line.split(":")
        if len(fields) != 7:
            return failed("users", f"{name}, a member of nixbld, does not exist", _DOCTOR)
        if not fields[6].endswith(_NO_LOGIN):
            return failed("users", f"{name} can log in: its shell is {fields[6]}", _DOCTOR)
        ids.append(fields[2])
    if not ids:
        return failed("users", "the group nixbld has no members", _DOCTOR)
    return ok("users", f"{len(ids)} build users, {_spread(ids)}; group {group[2]}")


def _spread(ids: Sequence[str]) -> str:
    numbers = sorted(int(one) for one in ids if one.isdecimal())
    return f"ids {numbers[0]} to {numbers[-1]}" if numbers else "with no ids"
