"""What the package adds to the boots of a composefs host, emulated, beside the host without it."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.measure import Figure
from tests.harness.ostree import bootable_tree, copy_disk, deploy, make_disk
from tests.harness.qemu import Machine
from tests.harness.tree import Tree, layer_rpms

# From the start of user space until somebody can log in, in microseconds.
_LOGIN = """
read_moment() { systemctl show --property="$1" --value ${2-}; }
start=$(read_moment UserspaceTimestampMonotonic)
login=$(read_moment ActiveEnterTimestampMonotonic systemd-user-sessions.service)
echo $((login - start))
"""
_TARGET = "+ 0 s"
_FLOOR = "a host without the package"


def figures(package: Path, work: Path, times: int) -> Iterator[Figure]:
    """Measure boots until logins: the first, later ones, and those with ``nix-aurora mount``."""
    base = bootable_tree()
    trees = {"base": base, "nix": layer_rpms(base, [package], work / "boot-layer")}
    commits = work / "commits.img"
    make_disk(trees, commits)

    with _machine(trees["base"], "base", commits, work) as machine:
        first_without = _login(machine)
        later_without = _later(machine, times)
    with _machine(trees["nix"], "nix", commits, work) as machine:
        yield Figure("first boot", _login(machine), first_without, "s", _TARGET, _FLOOR)
        yield Figure("later boots", _later(machine, times), later_without, "s", _TARGET, _FLOOR)
        machine.run("nix-aurora mount enable --yes")
        moved = _later(machine, times)
        yield Figure("later boots, mount enabled", moved, later_without, "s", _TARGET, _FLOOR)


def _machine(tree: Tree, branch: str, commits: Path, work: Path) -> Machine:
    disk = work / f"{branch}.img"
    copy_disk(commits, disk)
    deploy(tree, branch, disk)
    return Machine(disk, work / branch)


def _login(machine: Machine) -> float:
    return int(machine.run(_LOGIN).stdout) / 1e6


def _later(machine: Machine, times: int) -> float:
    seconds = []
    for _ in range(times):
        machine.reboot()
        seconds.append(_login(machine))
    return median(seconds)
