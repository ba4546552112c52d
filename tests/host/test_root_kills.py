"""Test nix-root with kills at system calls throughout its run: each boot must complete."""

import random
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from nix_aurora_host import paths

from tests.harness.nspawn import Host
from tests.host.conftest import NixTreeMaker
from tests.nix_root import (
    allow_overlay,
    avoid_overlay,
    break_nix_root,
    mend_nix_root,
    trace_nix_root,
)
from tests.torture import SEED, chosen
from tests.whole import add_program, check_profile

_KINDS = {"overlay": allow_overlay, "binds": avoid_overlay}
_KILLS = 15
_CASES = [(kind, number) for kind in _KINDS for number in range(_KILLS)]
_TRACE = "/var/nix-root.trace"


@pytest.fixture(scope="module")
def host(make_nix_tree: NixTreeMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Return a stock host with the package, which has booted once."""
    place = tmp_path_factory.mktemp("kills") / "host"
    with Host(make_nix_tree(nix_dir=False), place) as host:
        add_program(host)
        yield host


@pytest.fixture(scope="module", params=_KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of root that nix-root makes."""
    return str(request.param)


@pytest.fixture(scope="module")
def calls(host: Host, kind: str) -> list[tuple[str, int]]:
    """Return the system calls of an undisturbed run: each name, with its number among those.

    They begin with the first access to a file of its own, since nix-root changes nothing before
    that.
    """
    _KINDS[kind](host)
    trace_nix_root(host, f"-o {_TRACE}")
    host.reboot()
    assert host.read("/run/nix-aurora/root") == f"{kind}\n"
    counts: Counter[str] = Counter()
    found: list[tuple[str, int]] = []
    first = 0
    for line in host.read(_TRACE).splitlines():
        if paths.MOVE_NOW in line and not first:
            first = len(found)
        if name := re.match(r"([a-z0-9_]+)\(", line):
            counts[name[1]] += 1
            found.append((name[1], counts[name[1]]))
    assert first
    return [call for call in found[first:] if call[0] != "exit_group"]


@pytest.mark.parametrize(("kind", "number"), chosen(_CASES), indirect=["kind"])
def test_boot_is_whole_after_a_kill_at_any_system_call(
    host: Host, kind: str, calls: list[tuple[str, int]], number: int
) -> None:
    position = (number + random.Random(f"{SEED} {kind} {number}").random()) / _KILLS  # noqa: S311
    name, count = calls[int(position * len(calls))]
    break_nix_root(host, f"-e inject={name}:signal=KILL:when={count}")
    host.reboot()
    result = host.run("systemctl show --property=Result --value nix-root.service").stdout.strip()
    layout = host.read("/run/nix-aurora/layout").strip()
    print(f"{name} {count}, at {position:.0%} of {len(calls)}: {result}, {layout}")
    assert result == "signal"
    assert host.failed_units() == ["nix-root.service"]
    host.run("[ ! -e /etc/nix-aurora.root-pending ]; [ ! -e /run/nix-root ]")
    assert len(host.run("findmnt --noheadings /").stdout.splitlines()) == 1
    check_profile(host)
    mend_nix_root(host)
    host.run("systemctl reset-failed")
    if layout == "namespace":
        host.run("nix-aurora mount enable --yes --now")
        check_profile(host)
