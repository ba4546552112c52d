"""Run doctor's printed fixes on hosts that had another Nix, until doctor finds nothing."""

import json
import shlex
from pathlib import Path
from typing import Any

from tests.harness.nspawn import Host
from tests.host.doctor import build, doctor, faults

ROUNDS = 3
REBOOT = "sudo systemctl reboot"
LOOPS = [
    f"--bind={device}"
    for device in ("/dev/loop-control", *map(str, sorted(Path("/dev").glob("loop[0-9]*"))))
]
"""The options of a host that mounts an image of a file system by a loop device."""


def _look(host: Host) -> list[dict[str, Any]]:
    """Return the findings of doctor under sudo, which also checks the logins of sudo's caller."""
    result = host.run_as("tester", "sudo nix-aurora doctor --json", login=False, check=False)
    return faults(result.stdout)


def cure(host: Host, pick: int = 0) -> list[dict[str, str]]:
    """Run a printed fix until doctor finds nothing, at most ROUNDS times.

    The count starts again after a reboot that doctor requested. Returns the findings of each round:
    the fixes by their ids.
    """
    rounds: list[dict[str, str]] = []
    left = ROUNDS
    while left >= 0:
        left -= 1
        found = _look(host)
        rounds.append({finding["id"]: finding["fix"] for finding in found})
        if not found:
            return rounds
        if found[pick]["fix"] == REBOOT:
            host.reboot()  # the fix would do the same
            left = ROUNDS
            continue
        typed = f"echo yes | script --quiet --return --command {shlex.quote(found[pick]['fix'])}"
        said = host.run_as("tester", f"{typed} /dev/null", login=False, check=False)
        print(found[pick], said.output)
    raise AssertionError(rounds)


def is_well(host: Host, *, shown: bool = True) -> None:
    """Fail unless Nix works, and still works after a reboot."""
    build(host, shown=shown)
    host.reboot()
    has_come_up(host, shown=shown)


def has_come_up(host: Host, *, shown: bool = True) -> None:
    """Fail unless everything is well after a boot."""
    assert host.failed_units() == []
    assert host.run("systemctl is-system-running").stdout == "running\n"
    assert _look(host) == []
    assert doctor(host) == []
    build(host, shown=shown)


def status(host: Host) -> dict[str, Any]:
    """Return the state, as root sees it."""
    found: dict[str, Any] = json.loads(host.run("nix-aurora status --json").stdout)
    return found


def former(host: Host) -> dict[str, list[Any]]:
    """Return the leftovers of another Nix in status."""
    found: dict[str, list[Any]] = status(host)["former"]
    return found
