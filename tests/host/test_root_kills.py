"""nix-root killed at system calls that are spread over it: each boot is whole all the same."""

import random
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.harness.strace import copy_strace
from tests.host.conftest import NixTreeMaker
from tests.nix_root import NO_OVERLAY, mend_nix_root, run_nix_root_by
from tests.torture import SEED, chosen
from tests.whole import add_program, check_profile

_FAULTS = {"overlay": "", "binds": NO_OVERLAY}
_KILLS = 15
_CASES = [(kind, number) for kind in _FAULTS for number in range(_KILLS)]
_TRACE = "/var/nix-root.trace"


@pytest.fixture(scope="module")
def host(make_nix_tree: NixTreeMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Return a stock host with the package, which has booted once."""
    place = tmp_path_factory.mktemp("kills") / "host"
    with Host(make_nix_tree(nix_dir=False), place) as host:
        add_program(host)
        yield host


@pytest.fixture(scope="module")
def strace(host: Host, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the command that starts strace on that host."""
    place = tmp_path_factory.mktemp("strace")
    command = copy_strace(place, "/etc/strace")
    host.copy_in(place, "/etc/strace")
    return command


@pytest.fixture(scope="module", params=_FAULTS)
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of root that the script makes."""
    return str(request.param)


@pytest.fixture(scope="module")
def calls(host: Host, strace: str, kind: str) -> list[tuple[str, int]]:
    """Return the system calls of an undisturbed run: each name, with its number among those.

    From its own file of settings on: before that, nothing is done.
    """
    run_nix_root_by(host, f"{strace} -qq -o {_TRACE}", _FAULTS[kind])
    host.reboot()
    assert host.read("/run/nix-aurora/root") == f"{kind}\n"
    counts: Counter[str] = Counter()
    found: list[tuple[str, int]] = []
    first = 0
    for line in host.read(_TRACE).splitlines():
        if "nix-aurora.conf" in line and not first:
            first = len(found)
        if name := re.match(r"([a-z0-9_]+)\(", line):
            counts[name[1]] += 1
            found.append((name[1], counts[name[1]]))
    assert first
    return [call for call in found[first:] if call[0] != "exit_group"]


@pytest.mark.parametrize(("kind", "number"), chosen(_CASES), indirect=["kind"])
def test_a_boot_is_whole_at_whatever_system_call_nix_root_dies(
    host: Host, strace: str, kind: str, calls: list[tuple[str, int]], number: int
) -> None:
    position = (number + random.Random(f"{SEED} {kind} {number}").random()) / _KILLS  # noqa: S311
    name, count = calls[int(position * len(calls))]
    inject = f"inject={name}:signal=KILL:when={count}"
    run_nix_root_by(host, f"{strace} -qq -o /dev/null -e {inject}", _FAULTS[kind])
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
