"""Reboot, roll back, and return to the first deployment: the host must work each time."""

import time
from collections.abc import Callable, Sequence

from accept.checks.deployments import NOT_ASKED, Deployments, look
from accept.checks.system import NEEDS_ROOT
from accept.connection import LateError, LostError
from accept.machine import Machine
from accept.outcome import Outcome, Result, failed, not_shown, ok
from accept.walk import BASIC, Walk
from nix_aurora.errors import ToolError

IDS = ("reboot", "rollback", "back")
_STATUS = "ostree admin status"


def walk_reboots(walk: Walk, *, asked: bool, limit: float) -> None:
    """Reboot, roll back and return; ``limit`` is the time for each boot, in seconds."""
    try:
        _reboots(walk, asked=asked, limit=limit)
    except (LostError, LateError, ToolError) as error:
        walk.lost = isinstance(error, LostError)
        missing = [identifier for identifier in IDS if walk.result(identifier) is None]
        # Without a connection it is unknown which deployment boots next.
        again = f"{_STATUS}; sudo {_command(walk.machine)}"
        walk.add(failed(missing[0] if missing else "back", str(error), again))
        _skip(walk, missing[1:], f"see {missing[0]}" if missing else "")


def _reboots(walk: Walk, *, asked: bool, limit: float) -> None:
    machine = walk.machine
    before = _deployments(machine) if asked and machine.facts.root and not walk.lost else None
    if reason := _obstacle(walk, before, asked=asked):
        _skip(walk, IDS, reason)
        return
    if not _boot(walk, "reboot", limit, lambda: ok("reboot", "the host is up again")):
        _skip(walk, IDS[1:], "see reboot")
        return
    walk.take(BASIC, "reboot")
    if before is None or not before.current:
        _skip(walk, IDS[1:], "this host was not booted by ostree")
    elif len(before.names) < 2:
        _skip(walk, IDS[1:], "there is no deployment to roll back to")
    else:
        _roll_back(walk, before, limit)


def _obstacle(walk: Walk, before: Deployments | None, *, asked: bool) -> str | None:
    """Return a reason not to reboot, if there is one."""
    if not asked:
        return NOT_ASKED.format("--reboots")
    if walk.lost:
        return "the connection was lost"
    if not walk.machine.facts.root:
        return NEEDS_ROOT
    if before and (before.staged or before.booted):
        return "another deployment is waiting, which a reboot would boot"
    return None


def _deployments(machine: Machine) -> Deployments | None:
    if "ostree" not in machine.facts.tools or machine.facts.shown.get("image") != "ostree":
        return None
    return look(machine)


def _roll_back(walk: Walk, before: Deployments, limit: float) -> None:
    """Boot the previous deployment, and then the one of ``before`` again."""
    machine = walk.machine
    if not _switch(walk, "rollback"):
        _skip(walk, ["back"], "see rollback")
        return
    try:
        there = _boot(walk, "rollback", limit, lambda: _judge_rollback(machine, before))
        if there and "nix-aurora" in machine.facts.tools:
            walk.take(BASIC, "rollback")
        if there and _switch(walk, "back"):
            if _boot(walk, "back", limit, lambda: _judge_back(machine, before)):
                walk.take(BASIC, "back")
        elif walk.result("back") is None:
            _skip(walk, ["back"], "see rollback")
    finally:
        _undo(walk, before)


def _judge_rollback(machine: Machine, before: Deployments) -> Outcome:
    current = look(machine).current
    if current == before.current:
        return failed("rollback", "the same deployment was booted", _STATUS)
    has = "nix-aurora" in machine.facts.tools
    kept = machine.run("test -d /var/lib/nix/store").code == 0
    if not kept:
        return failed("rollback", "/var/lib/nix/store does not exist", "ls -ld /var/lib/nix")
    nix = "" if has else ", which has no nix-aurora; /var/lib/nix was kept"
    return ok("rollback", f"booted {current[:12]}{nix}")


def _judge_back(machine: Machine, before: Deployments) -> Outcome:
    after = look(machine)
    if (after.current, after.names) != (before.current, before.names):
        detail = f"expected {before.current[:12]} first and booted, got {after.current[:12]}"
        return failed("back", detail, _STATUS)
    return ok("back", f"booted {after.current[:12]}; the list of deployments is what it was")


def _boot(walk: Walk, identifier: str, limit: float, judge: Callable[[], Outcome]) -> bool:
    """Reboot, judge the host, and return whether it works."""
    start = time.monotonic()
    try:
        walk.machine.reboot(limit)
        outcome = judge()
    except (LateError, LostError) as error:
        walk.lost = True
        hint = "look at the console; the boot menu has the other deployment"
        outcome = failed(identifier, f"{error} ({time.monotonic() - start:.0f} s)", hint)
    walk.add(outcome)
    return outcome.result is Result.OK


def _command(machine: Machine) -> str:
    """Return a command that swaps the first two deployments; run twice, it changes nothing."""
    has = "rpm-ostree" in machine.facts.tools
    return "rpm-ostree rollback" if has else "ostree admin set-default 1"


def _switch(walk: Walk, identifier: str) -> bool:
    """Select the other deployment for the next boot, and return whether that worked."""
    command = _command(walk.machine)
    answer = walk.machine.run(command, root=True)
    if answer.code != 0:
        walk.add(failed(identifier, f"{command}: {answer.complaint}", f"sudo {command}"))
    return answer.code == 0


def _undo(walk: Walk, before: Deployments) -> None:
    """Select the deployment that the host had booted for the next boot, whatever went wrong."""
    if walk.lost:
        return
    now = look(walk.machine)
    if now.names[1:2] == (before.current,):
        walk.machine.run(_command(walk.machine), root=True)
    if now.current != before.current:
        walk.tell("warning: the host runs another deployment: reboot it to return to the first one")


def _skip(walk: Walk, identifiers: Sequence[str], reason: str) -> None:
    for identifier in identifiers:
        walk.add(not_shown(identifier, reason))
