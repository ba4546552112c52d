"""Hosts with SELinux in enforcing mode, and what must hold on each of them."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.harness.cache import cached
from tests.harness.ostree import bootable_tree, copy_disk, deploy, make_disk
from tests.harness.provides import provides_rpm
from tests.harness.qemu import Machine
from tests.harness.tree import Tree, layer_rpms
from tests.nix_root import ADD_CHOICE
from tests.packages import PackageMaker, fit_for_sample
from tests.whole import check_works

STORE = "system_u:object_r:bin_t:s0"
SOCKETS = "/var/lib/nix/var/nix/daemon-socket", "/var/lib/nix/daemon-socket"
_ROOT = "system_u:object_r:root_t:s0"
# A denial is ours if it is about a path in the store or in /run, a name of ours, or a program of
# our units.
_PATH = re.compile(r' path="?/(nix|var/lib/nix|run/nix)')
_NAME = re.compile(r' name="(nix|nix-aurora|nix-root|store|daemon-socket|socket)"')
_SOURCE = re.compile(r" scontext=\S+:initrc_t:")
_PERMISSIVE = re.compile(r" scontext=[^:]+:[^:]+:([^:]+):.* permissive=1")
_INODE = re.compile(r' dev="vda" ino=([0-9]+)')
# This prints the labels of / and of the /nix on which the store is mounted.
_ROOT_LABELS = "unshare --mount sh -c 'umount /nix && exec stat --format=%C / /nix'"


def enforcing_trees(package: PackageMaker, top: Path) -> Mapping[str, Tree]:
    """Return the trees of the commits: ``bare`` is without the package nix-aurora-selinux.

    The processes of a test run share the layers, which are made once in the directory ``top``.
    """
    base = bootable_tree(enforcing=True)

    def tree(name: str, suite: str, *, module: bool) -> Tree:
        def make(place: Path) -> None:
            rpm = package(suite)
            policy = provides_rpm(place, ["selinux-policy-targeted"], name="policy-provides")
            rpms = [rpm, policy, *rpm.parent.glob("nix-aurora-selinux-*.noarch.rpm")]
            layered = layer_rpms(base, rpms if module else rpms[:1], place / "rpms")
            fit_for_sample(layered, place / "settings", more=ADD_CHOICE)

        place = cached("enforcing", name, make, top=top)
        return Tree((place / "settings", place / "rpms", *base.layers))

    return {
        "older": tree("older", "trixie", module=True),
        "newer": tree("newer", "forky", module=True),
        "bare": tree("bare", "forky", module=False),
    }


@contextmanager
def enforcing_machine(
    trees: Mapping[str, Tree], branch: str, top: Path, place: Path
) -> Iterator[Machine]:
    """Yield a machine that is off, and that will boot ``branch`` for the first time.

    The processes of a test run share the disk with the commits of all trees, which is in ``top``.
    ``place`` is the directory for the machine, whose disk is removed at the end.
    """

    def commit(place: Path) -> None:
        make_disk(trees, place / "disk.img")

    def deployed(place: Path) -> None:
        copy_disk(commits / "disk.img", place / "disk.img")
        deploy(trees[branch], branch, place / "disk.img")

    commits = cached("enforcing-disks", "commits", commit, top=top)
    machine = Machine(cached("enforcing-disks", branch, deployed, top=top) / "disk.img", place)
    machine.open()
    try:
        yield machine
    finally:
        machine.close()
        machine.disk.unlink()


def denials(machine: Machine) -> list[str]:
    """Return SELinux's denials in this boot that concern our programs or files."""
    lines = machine.run("journalctl --sync; journalctl -b -o cat").stdout.splitlines()
    inodes = set(machine.run("find /var/lib/nix/ -printf '%i\\n'").stdout.split())

    def is_ours(line: str) -> bool:
        found = _INODE.search(line)
        known = _PATH.search(line) or _NAME.search(line) or _SOURCE.search(line)
        return bool(known or (found and found[1] in inodes))

    denied = [line for line in lines if "avc:  denied" in line]
    permissive = {found[1] for line in denied if (found := _PERMISSIVE.search(line))}
    assert permissive <= {"systemd_sysusers_t", "systemd_generator_t"}
    return [line for line in denied if is_ours(line) and not _PERMISSIVE.search(line)]


def check_labels(machine: Machine) -> None:
    """Fail unless every file in the store has the store's type, whatever process created it."""
    prune = " -o ".join(f"-path {path}" for path in SOCKETS)
    others = f"find /var/lib/nix/ \\( {prune} \\) -prune -o ! -context '*:bin_t:*' -print"
    assert machine.run(others).stdout == ""
    assert machine.run("stat --format=%C /var/lib/nix/store").stdout == f"{STORE}\n"
    sockets = machine.run(f"stat --format=%C {' '.join(f'{path}/socket' for path in SOCKETS)}")
    assert [line.split(":")[2] for line in sockets.stdout.splitlines()] == [
        "var_run_t",
        "var_lib_t",
    ]


def check_enforced(machine: Machine) -> None:
    """Fail unless the guest enforces, everything works, and SELinux denied nothing of ours."""
    assert machine.read("/sys/fs/selinux/enforce") == "1"
    check_works(machine)
    program = "ps -o label= -p $(systemctl show --property=MainPID --value nix-daemon.service)"
    assert machine.run(program).stdout.split(":")[2] == "initrc_t"
    assert machine.run_as("tester", "id -Z").stdout.split(":")[2] == "unconfined_t"
    check_labels(machine)
    if machine.read("/run/nix-aurora/layout") == "mount\n":
        assert machine.run(_ROOT_LABELS).stdout == f"{_ROOT}\n{STORE}\n"
    else:
        assert machine.run("stat --format=%C /").stdout == f"{_ROOT}\n"
    found = json.loads(machine.run("nix-aurora doctor --json", check=False).stdout)["findings"]
    assert [finding for finding in found if finding["id"].startswith("label:")] == []
    assert denials(machine) == []
