"""SELinux enforcing, with Debian's policy and what harness/selinux says of Fedora's."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.harness.ostree import ENFORCING, bootable_tree, copy_disk, deploy, make_disk
from tests.harness.provides import provides_rpm
from tests.harness.qemu import Machine
from tests.harness.tree import Tree, layer_rpms
from tests.packages import PackageMaker, fit_for_sample
from tests.whole import add_program, build, check_profile, check_whole

_STORE = "system_u:object_r:bin_t:s0"
_SOCKETS = "/var/lib/nix/var/nix/daemon-socket", "/var/lib/nix/daemon-socket"
# Ours: what lies in the store or in /run, or has a name that we give, and what our units run.
_PATH = re.compile(r' path="?/(nix|var/lib/nix|run/nix)')
_NAME = re.compile(r' name="(nix|nix-aurora|nix-root|store|daemon-socket|socket)"')
_SOURCE = re.compile(r" scontext=\S+:initrc_t:")
_INODE = re.compile(r' dev="vda" ino=([0-9]+)')


@pytest.fixture(scope="module")
def trees(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Tree]:
    """Give the trees of the commits: ``bare`` is without the package nix-aurora-selinux."""
    place = tmp_path_factory.mktemp("selinux")
    base = bootable_tree(enforcing=True)
    policy = provides_rpm(place, ["selinux-policy-targeted"], name="policy-provides")

    def tree(name: str, suite: str, *, module: bool) -> Tree:
        rpm = package(suite)
        rpms = [rpm, policy, *rpm.parent.glob("nix-aurora-selinux-*.noarch.rpm")]
        layered = layer_rpms(base, rpms if module else rpms[:1], place / name / "rpms")
        return fit_for_sample(layered, place / name / "settings")

    return {
        "older": tree("older", "trixie", module=True),
        "newer": tree("newer", "forky", module=True),
        "bare": tree("bare", "forky", module=False),
    }


@pytest.fixture(scope="module")
def commits(trees: Mapping[str, Tree], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a disk with all commits, and none deployed."""
    disk = tmp_path_factory.mktemp("disk") / "commits.img"
    make_disk(trees, disk)
    return disk


def _deployed(trees: Mapping[str, Tree], commits: Path, branch: str) -> Path:
    disk = commits.with_name(f"{branch}.img")
    copy_disk(commits, disk)
    deploy(trees[branch], branch, disk)
    return disk


@pytest.fixture(scope="module")
def machine(
    trees: Mapping[str, Tree], commits: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Give a machine with the module, off, that has never booted."""
    place = tmp_path_factory.mktemp("labelled") / "machine"
    machine = Machine(_deployed(trees, commits, "older"), place)
    machine.open()
    yield machine
    machine.close()
    machine.disk.unlink()


def denials(machine: Machine) -> list[str]:
    """Give what SELinux has denied in this boot to or in what is ours."""
    lines = machine.run("journalctl --sync; journalctl -b -o cat").stdout.splitlines()
    inodes = set(machine.run("find /var/lib/nix/ -printf '%i\\n'").stdout.split())

    def is_ours(line: str) -> bool:
        found = _INODE.search(line)
        known = _PATH.search(line) or _NAME.search(line) or _SOURCE.search(line)
        return bool(known or (found and found[1] in inodes))

    denied = [line for line in lines if "avc:  denied" in line and "permissive=1" not in line]
    return [line for line in denied if is_ours(line)]


def _check_labels(machine: Machine) -> None:
    """Fail unless every file in the store, whoever made it, has the store's type."""
    prune = " -o ".join(f"-path {path}" for path in _SOCKETS)
    others = f"find /var/lib/nix/ \\( {prune} \\) -prune -o ! -context '*:bin_t:*' -print"
    assert machine.run(others).stdout == ""
    assert machine.run("stat --format=%C /var/lib/nix/store").stdout == f"{_STORE}\n"
    sockets = machine.run(f"stat --format=%C {' '.join(f'{path}/socket' for path in _SOCKETS)}")
    assert [line.split(":")[2] for line in sockets.stdout.splitlines()] == [
        "var_run_t",
        "var_lib_t",
    ]


def _check_enforced(machine: Machine) -> None:
    """Fail unless the guest enforces, all of it works, and nothing of ours was denied."""
    assert machine.read("/sys/fs/selinux/enforce") == "1"
    check_whole(machine)
    program = "ps -o label= -p $(systemctl show --property=MainPID --value nix-daemon.service)"
    assert machine.run(program).stdout.split(":")[2] == "initrc_t"
    assert machine.run_as("tester", "id -Z").stdout.split(":")[2] == "unconfined_t"
    _check_labels(machine)
    assert machine.run("stat --format=%C /").stdout == "system_u:object_r:root_t:s0\n"
    found = json.loads(machine.run("nix-aurora doctor --json", check=False).stdout)["findings"]
    assert [finding for finding in found if finding["id"].startswith("label:")] == []
    assert denials(machine) == []


def test_a_first_boot(machine: Machine) -> None:
    machine.boot(arguments=ENFORCING)
    assert machine.read("/run/nix-aurora/layout") == "namespace\n"
    add_program(machine)
    _check_enforced(machine)
    seen = machine.run_as("tester", "nix-aurora shell stat --format=%C / /nix /bin/").stdout
    assert [line.split(":")[2] for line in seen.splitlines()] == ["root_t", "bin_t", "bin_t"]


def test_a_store_is_labelled_again(machine: Machine) -> None:
    """Also files with several names: the second time nothing is left to do."""
    garbage = build(machine)
    machine.run_as("tester", "nix-collect-garbage -d")
    machine.run(f"[ ! -e /var/lib{garbage} ]; nix store optimise")
    linked = "find /var/lib/nix/store -type f -links +1"
    assert machine.run(linked).stdout
    machine.run(f"chcon --type=var_lib_t /var/lib/nix/store $({linked} | head -50)")
    relabel = "nix-aurora relabel --yes --json"
    first, second = (json.loads(machine.run(relabel).stdout) for _ in range(2))
    assert first["relabelled"]
    assert {(row["from"], row["to"]) for row in first["changes"]} == {("var_lib_t", "bin_t")}
    assert second == {"relabelled": False, "changes": []}
    _check_labels(machine)
    assert denials(machine) == []


def test_an_upgrade_with_a_host_wide_nix(machine: Machine) -> None:
    machine.run("nix-aurora mount enable --yes; ostree admin deploy --os=default newer")
    machine.reboot(arguments=ENFORCING)
    assert machine.read("/run/nix-aurora/layout") == "mount\n"
    assert "2.34" in machine.run_as("tester", "nix --version").stdout
    assert machine.run("stat --format=%C /nix").stdout == f"{_STORE}\n"
    _check_enforced(machine)


def test_without_the_module(trees: Mapping[str, Tree], commits: Path, tmp_path: Path) -> None:
    """What it cures: systemd may not make the socket. The daemon does, and all goes on."""
    bare = Machine(_deployed(trees, commits, "bare"), tmp_path / "machine")
    bare.open()
    try:
        bare.boot(arguments=ENFORCING)
        denied = denials(bare)
        pattern = (
            r"{ create } .* scontext=\S+:init_t:\S+ tcontext=\S+:var_lib_t:\S+ tclass=sock_file"
        )
        assert [line for line in denied if re.search(pattern, line)], denied
        assert bare.failed_units() == ["nix-daemon.socket"]
        add_program(bare)
        build(bare)
        check_profile(bare)
        changes = json.loads(bare.run("nix-aurora relabel --dry-run --json").stdout)
        assert changes == {"relabelled": False, "changes": []}  # the policy knows no other labels
    finally:
        bare.close()
        bare.disk.unlink()
