"""Doctor on hosts: what it finds, and its fixes, run as an administrator runs them."""

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
    """Hosts in which all is well, one of a kind: a new one where a failed test has left it ill."""

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
        """Switch off a host that is no longer well."""
        for kind, known in [*self._hosts.items()]:
            if known is host:
                del self._hosts[kind]
                host.close()

    def close(self) -> None:
        """Switch all of them off."""
        for host in [*self._hosts.values()]:
            self.discard(host)


def doctor(host: Host, user: str = "tester") -> list[dict[str, Any]]:
    """Return what doctor finds, notes aside, and see that its exit code fits."""
    # As a user whose own settings do not matter: what is looked at is a new login.
    result = host.run_as(user, "nix-aurora doctor --json", login=False, check=False)
    report = json.loads(result.stdout)
    assert result.returncode == (0 if report["well"] else 1), result.output
    assert report["well"] == all(found["severity"] == "note" for found in report["findings"])
    return faults(result.stdout)


def faults(output: str) -> list[dict[str, Any]]:
    """Return the findings in doctor's JSON, notes aside."""
    return [found for found in json.loads(output)["findings"] if found["severity"] != "note"]


def build(host: Host, user: str = "tester", *, shown: bool = True) -> None:
    """Build something new as an ordinary user, through the daemon.

    Where /nix is not ``shown`` to all, the result is read where it lies.
    """
    expression = (
        f'derivation {{ name = "{uuid4()}"; system = builtins.currentSystem; '
        'builder = "/bin/sh"; args = [ "-c" "echo built >$out" ]; }'
    )
    command = f"nix build --impure --no-link --print-out-paths --expr '{expression}'"
    built = host.run_as(user, f"set -e; path=$({command}); cat {'' if shown else '/var/lib'}$path")
    assert built.stdout == "built\n", built.output


def cure(host: Host, found: list[dict[str, Any]], user: str = "tester") -> None:
    """Run the first fix as it is printed, look again, and be well within three rounds.

    On a terminal, with yes for an answer. One fix may bring another fault to light.
    """
    for _ in range(_ROUNDS):
        fix = shlex.quote(found[0]["fix"])
        typed = f"echo yes | script --quiet --return --command {fix} /dev/null"
        said = host.run_as("tester", typed, login=False)
        print(found[0]["id"], said.output)
        found = doctor(host, user)
        if not found:
            return
    raise AssertionError(found)


def check(hosts: Hosts, scenario: Scenario) -> None:
    """Make a fault, find it and nothing else, run the printed fix, and find it cured."""
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
