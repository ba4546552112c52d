"""Measure the time that the package adds to the boots of a composefs host."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.measure import Figure, unit_seconds
from tests.harness.nspawn import Host
from tests.harness.ostree import bootable_tree, copy_disk, deploy, make_disk
from tests.harness.qemu import Machine
from tests.harness.system import System
from tests.harness.tree import Tree, atomic_tree, layer_rpms

# From the start of user space until logins are possible, in microseconds.
_LOGIN = """
read_moment() { systemctl show --property="$1" --value ${2-}; }
start=$(read_moment UserspaceTimestampMonotonic)
login=$(read_moment ActiveEnterTimestampMonotonic systemd-user-sessions.service)
echo $((login - start))
"""
_MOVE = "nix-root.service"  # no other unit starts before it has ended
_TARGET = "+ 0 s"
_FLOOR = "a host without the package"


def figures(package: Path, work: Path, times: int) -> Iterator[Figure]:
    """Measure boots until login, and the time of the move, in containers and emulated."""
    yield from _in_containers(package, work, times)
    yield from _emulated(package, work, times)


def _in_containers(package: Path, work: Path, times: int) -> Iterator[Figure]:
    """Measure on this machine's processors; boots with and without the package alternate."""
    base = atomic_tree()
    tree = layer_rpms(base, [package], work / "container-layer")
    with Host(base, work / "container-base") as bare, Host(tree, work / "container") as host:
        pairs, spans = [], []
        for _ in range(times):
            for system in (bare, host):
                system.reboot()
            pairs.append((_login(host), _login(bare)))
            spans.append(unit_seconds(host, _MOVE))
        _require_moved(host)
    ours, floor = (median(column) for column in zip(*pairs, strict=True))
    yield Figure("the move to a root with /nix", median(spans) * 1000, None, "ms", "<= 60 ms")
    yield Figure("boot in a container", ours, floor, "s", "+ 0.06 s", _FLOOR)


def _emulated(package: Path, work: Path, times: int) -> Iterator[Figure]:
    base = bootable_tree()
    trees = {"base": base, "nix": layer_rpms(base, [package], work / "boot-layer")}
    commits = work / "commits.img"
    make_disk(trees, commits)

    with _machine(trees["base"], "base", commits, work) as machine:
        first_without = _login(machine)
        later_without = median(seconds for seconds, _ in _later(machine, times))
    with _machine(trees["nix"], "nix", commits, work) as machine:
        yield Figure("first boot", _login(machine), first_without, "s", _TARGET, _FLOOR)
        boots = list(_later(machine, times, _MOVE))
        _require_moved(machine)
        later, move = (median(column) for column in zip(*boots, strict=True))
        yield Figure("later boots", later, later_without, "s", _TARGET, _FLOOR)
        yield Figure(
            "nix-root.service in one of these", move, later, "s", "", "the boot until logins"
        )
        machine.run("nix-aurora mount disable")
        kept = median(seconds for seconds, _ in _later(machine, times))
        yield Figure("later boots, namespace", kept, later_without, "s", _TARGET, _FLOOR)


def _machine(tree: Tree, branch: str, commits: Path, work: Path) -> Machine:
    disk = work / f"{branch}.img"
    copy_disk(commits, disk)
    deploy(tree, branch, disk)
    return Machine(disk, work / branch)


def _require_moved(system: System) -> None:
    system.run("grep -q . /run/nix-aurora/root")


def _login(system: System) -> float:
    return int(system.run(_LOGIN).stdout) / 1e6


def _later(machine: Machine, times: int, unit: str | None = None) -> Iterator[tuple[float, float]]:
    """Yield the seconds until login of each boot, and the seconds that ``unit`` took."""
    for _ in range(times):
        machine.reboot()
        yield _login(machine), unit_seconds(machine, unit) if unit else 0.0
