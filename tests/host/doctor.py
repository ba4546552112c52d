"""Run doctor on hosts, and apply its fixes as an administrator does."""

import json
import shlex
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.scenarios import IMAGE, ORDINARY, Scenario

_ROUNDS = 3


class Hosts:
    """Healthy hosts, one of each kind; a host that a failed test left broken is replaced."""

    def __init__(self, tree: Tree, place: Path) -> None:
        self._tree = tree
        self._place = place
        self._count = 0
        self._hosts: dict[str, Host] = {}

    def healthy(self, kind: str = IMAGE) -> Host:
        """Return the host of a kind; a new one has booted."""
        if kind not in self._hosts:
            self._count += 1
            place = self._place / f"host-{self._count}"
            host = Host(self._tree, place, ordinary=kind == ORDINARY)
            host.open()
            self._hosts[kind] = host
            host.boot()
        return self._hosts[kind]

    def discard(self, host: Host) -> None:
        """Switch off a host that is no longer healthy."""
        for kind, known in [*self._hosts.items()]:
            if known is host:
                del self._hosts[kind]
                host.close()

    def close(self) -> None:
        """Switch off all hosts."""
        for host in [*self._hosts.values()]:
            self.discard(host)


def doctor(host: Host, user: str = "tester") -> list[dict[str, Any]]:
    """Return doctor's findings without notes, and check that its exit code fits them."""
    # The user's own settings have no effect, since doctor checks a new login.
    result = host.run_as(user, "nix-aurora doctor --json", login=False, check=False)
    report = json.loads(result.stdout)
    assert result.returncode == (0 if report["well"] else 1), result.output
    assert report["well"] == all(found["severity"] == "note" for found in report["findings"])
    return faults(result.stdout)


def faults(output: str) -> list[dict[str, Any]]:
    """Return the findings in doctor's JSON, without notes."""
    return [found for found in json.loads(output)["findings"] if found["severity"] != "note"]


def build(host: Host, user: str = "tester", *, shown: bool = True) -> None:
    """Build something new as an ordinary user, through the daemon.

    Unless every process sees /nix (``shown``), the result is read at its physical place.
    """
    expression = (
        f'derivation {{ name = "{uuid4()}"; system = builtins.currentSystem; '
        'builder = "/bin/sh"; args = [ "-c" "echo built >$out" ]; }'
    )
    command = f"nix build --impure --no-link --print-out-paths --expr '{expression}'"
    built = host.run_as(user, f"set -e; path=$({command}); cat {'' if shown else '/var/lib'}$path")
    assert built.stdout == "built\n", built.output


def cure(host: Host, found: list[dict[str, Any]], user: str = "tester") -> None:
    """Run the first printed fix, check again, and require health within three rounds.

    The fix runs on a terminal, and gets the answer yes. One fix may reveal another fault.
    """
    for _ in range(_ROUNDS):
        print(found[0]["id"], found[0]["fix"])
        fix = shlex.quote(found[0]["fix"])
        typed = f"echo yes | script --quiet --return --command {fix} /dev/null"
        said = host.run_as("tester", typed, login=False)
        print(said.output)
        found = doctor(host, user)
        if not found:
            return
    raise AssertionError(found)


def check(hosts: Hosts, scenario: Scenario) -> None:
    """Cause a fault, find exactly its findings, run the printed fix, and check that it worked."""
    host = hosts.healthy(scenario.host)
    try:
        host.run(scenario.script)
        found = doctor(host, scenario.seen_by)
        assert tuple(finding["id"] for finding in found) == scenario.ids, found
        cure(host, found, scenario.seen_by)
        host.run(scenario.after)
        build(host)
    except BaseException:
        hosts.discard(host)
        raise
