"""Test SELinux in enforcing mode, with Debian's policy and Fedora's rules in harness/selinux."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from accept.outcome import Result
from tests.harness.ostree import (
    ENFORCING,
    TRANSIENT,
    bootable_tree,
    copy_disk,
    deploy,
    make_disk,
    upgrade,
)
from tests.harness.provides import provides_rpm
from tests.harness.qemu import Machine
from tests.harness.tree import Tree, layer_rpms
from tests.host.adopting import FORMER, LEAVE
from tests.nix_root import ADD_CHOICE, TAKE_BINDS
from tests.ostree.accepting import judge_selinux
from tests.packages import PackageMaker, fit_for_sample
from tests.whole import (
    add_program,
    build,
    check_profile,
    check_session,
    check_store,
    check_works,
    version,
)

_STORE, _ROOT = "system_u:object_r:bin_t:s0", "system_u:object_r:root_t:s0"
_SOCKETS = "/var/lib/nix/var/nix/daemon-socket", "/var/lib/nix/daemon-socket"
# A denial is ours if it is about a path in the store or in /run, a name of ours, or a program of
# our units.
_PATH = re.compile(r' path="?/(nix|var/lib/nix|run/nix)')
_NAME = re.compile(r' name="(nix|nix-aurora|nix-root|store|daemon-socket|socket)"')
_SOURCE = re.compile(r" scontext=\S+:initrc_t:")
_PERMISSIVE = re.compile(r" scontext=[^:]+:[^:]+:([^:]+):.* permissive=1")
_INODE = re.compile(r' dev="vda" ino=([0-9]+)')
# This prints the labels of / and of the /nix on which the store is mounted.
_ROOT_LABELS = "unshare --mount sh -c 'umount /nix && exec stat --format=%C / /nix'"


@pytest.fixture(scope="module")
def trees(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Tree]:
    """Return the trees of the commits: ``bare`` is without the package nix-aurora-selinux."""
    place = tmp_path_factory.mktemp("selinux")
    base = bootable_tree(enforcing=True)
    policy = provides_rpm(place, ["selinux-policy-targeted"], name="policy-provides")

    def tree(name: str, suite: str, *, module: bool) -> Tree:
        rpm = package(suite)
        rpms = [rpm, policy, *rpm.parent.glob("nix-aurora-selinux-*.noarch.rpm")]
        layered = layer_rpms(base, rpms if module else rpms[:1], place / name / "rpms")
        return fit_for_sample(layered, place / name / "settings", more=ADD_CHOICE)

    return {
        "older": tree("older", "trixie", module=True),
        "newer": tree("newer", "forky", module=True),
        "bare": tree("bare", "forky", module=False),
    }


@pytest.fixture(scope="module")
def commits(trees: Mapping[str, Tree], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a disk with all commits, and none deployed."""
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
    """Yield a machine with the module, off, that has never booted."""
    place = tmp_path_factory.mktemp("labeled") / "machine"
    machine = Machine(_deployed(trees, commits, "older"), place)
    machine.open()
    yield machine
    machine.close()
    machine.disk.unlink()


@pytest.fixture(scope="module")
def bare(
    trees: Mapping[str, Tree], commits: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Yield a machine without the module, in its first boot, on the root of binds."""
    place = tmp_path_factory.mktemp("bare") / "machine"
    machine = Machine(_deployed(trees, commits, "bare"), place)
    machine.open()
    try:
        machine.boot(arguments=f"{ENFORCING} {TAKE_BINDS}")
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


def _check_labels(machine: Machine) -> None:
    """Fail unless every file in the store has the store's type, whatever process created it."""
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
    """Fail unless the guest enforces, everything works, and SELinux denied nothing of ours."""
    assert machine.read("/sys/fs/selinux/enforce") == "1"
    check_works(machine)
    program = "ps -o label= -p $(systemctl show --property=MainPID --value nix-daemon.service)"
    assert machine.run(program).stdout.split(":")[2] == "initrc_t"
    assert machine.run_as("tester", "id -Z").stdout.split(":")[2] == "unconfined_t"
    _check_labels(machine)
    if machine.read("/run/nix-aurora/layout") == "mount\n":
        assert machine.run(_ROOT_LABELS).stdout == f"{_ROOT}\n{_STORE}\n"
    else:
        assert machine.run("stat --format=%C /").stdout == f"{_ROOT}\n"
    found = json.loads(machine.run("nix-aurora doctor --json", check=False).stdout)["findings"]
    assert [finding for finding in found if finding["id"].startswith("label:")] == []
    assert denials(machine) == []


def test_first_boot_moves(machine: Machine) -> None:
    machine.boot(arguments=ENFORCING)
    assert machine.read("/run/nix-aurora/root") == "overlay\n"
    add_program(machine)
    machine.linger("tester")
    check_session(machine)
    check_store(machine)
    _check_enforced(machine)
    assert {outcome.result for outcome in judge_selinux(machine)} == {Result.OK}


def test_relabel_labels_a_store_again(machine: Machine) -> None:
    """Include files with several names; a second run finds nothing to do."""
    garbage = build(machine)
    machine.run_as("tester", "nix-collect-garbage -d")
    machine.run(f"[ ! -e /var/lib{garbage} ]; nix store optimise")
    linked = "find /var/lib/nix/store -type f -links +1"
    assert machine.run(linked).stdout
    machine.run(f"chcon --type=var_lib_t /var/lib/nix/store $({linked} | head -50)")
    relabel = "nix-aurora relabel --json"
    first = json.loads(machine.run(f"{relabel} --yes").stdout)
    second = json.loads(machine.run(f"{relabel} --dry-run").stdout)
    assert first["relabelled"]
    assert {(row["from"], row["to"]) for row in first["changes"]} == {("var_lib_t", "bin_t")}
    assert second == {"relabelled": False, "changes": []}
    _check_labels(machine)

    machine.run("chcon --type=var_lib_t /var/lib/nix/store")
    labels, others = judge_selinux(machine)
    assert labels.detail == "/var/lib/nix/store: expected bin_t, got var_lib_t"
    assert (labels.result, others.result) == (Result.FAILED, Result.OK)
    found = json.loads(machine.run("nix-aurora doctor --json", check=False).stdout)["findings"]
    fix = {finding["id"]: finding["fix"] for finding in found}["label:/var/lib/nix/store"]
    typed = f"echo yes | script --quiet --return --command {shlex.quote(fix)} /dev/null"
    machine.run_as("tester", typed, login=False)
    _check_labels(machine)
    assert denials(machine) == []


def test_adopted_store_is_labeled_before_anything_is_started(machine: Machine) -> None:
    """Adopt a store with the labels of its former place, from which no service may run programs."""
    machine.run(LEAVE)
    machine.run(f"chcon --recursive --type=user_home_t {FORMER}")
    machine.reboot(arguments=ENFORCING)
    machine.run("nix-aurora adopt --yes")
    check_profile(machine)
    check_store(machine)
    _check_enforced(machine)
    machine.reboot(arguments=ENFORCING)
    _check_enforced(machine)


def test_namespace_layout_works_and_a_running_system_moves(machine: Machine) -> None:
    machine.run("nix-aurora mount disable")
    machine.reboot(arguments=ENFORCING)
    assert machine.read("/run/nix-aurora/layout") == "namespace\n"
    _check_enforced(machine)
    seen = machine.run_as("tester", "nix-aurora shell stat --format=%C / /nix /bin/").stdout
    assert [line.split(":")[2] for line in seen.splitlines()] == ["root_t", "bin_t", "bin_t"]
    machine.run("nix-aurora mount enable --yes --now")
    assert machine.read("/run/nix-aurora/root") == "overlay\n"
    _check_enforced(machine)


def test_upgrade_onto_binds_moves(machine: Machine, trees: Mapping[str, Tree]) -> None:
    """Move by binds, for kernels that do not stack an overlay on /."""
    labels = {
        name: machine.run(f"stat --format=%C {name}").stdout
        for name in ("/", "/boot", "/usr", "/home")
    }
    machine.poweroff()
    upgrade(trees["newer"], "newer", machine.disk)
    machine.boot(arguments=f"{ENFORCING} {TAKE_BINDS}")
    assert machine.read("/run/nix-aurora/root") == "binds\n"
    assert version(machine).startswith("2.34.")
    assert machine.run("stat --format=%C /nix").stdout == f"{_STORE}\n"
    for name in ("/", "/boot", "/usr", "/home"):
        assert machine.run(f"stat --format=%C {name}").stdout == labels[name]
    _check_enforced(machine)


def test_transient_root_moves(machine: Machine) -> None:
    """Move from a tmpfs, whose label is not the one that services expect of /."""
    machine.reboot(arguments=f"{ENFORCING} {TRANSIENT}")
    machine.run("[ -w / ]; [ ! -e /run/nix-aurora/root ]")
    _check_enforced(machine)


def test_daemon_makes_its_socket_without_the_module(bare: Machine) -> None:
    """Without the module, systemd may not create the socket. The daemon does, and Nix works."""
    assert bare.read("/run/nix-aurora/root") == "binds\n"
    denied = denials(bare)
    pattern = r"{ create } .* scontext=\S+:init_t:\S+ tcontext=\S+:var_lib_t:\S+ tclass=sock_file"
    assert [line for line in denied if re.search(pattern, line)], denied
    assert bare.failed_units() == ["nix-daemon.socket"]
    judged = judge_selinux(bare)
    assert [outcome.result for outcome in judged] == [Result.FAILED, Result.FAILED], judged
    build(bare)
    changes = json.loads(bare.run("nix-aurora relabel --dry-run --json").stdout)
    assert changes == {"relabelled": False, "changes": []}  # the policy knows no other labels


def test_module_can_be_installed_after_a_boot(bare: Machine, trees: Mapping[str, Tree]) -> None:
    """Start with a socket that the daemon created, whose label forbids systemd to remove it."""
    socket = f"stat --format=%C {_SOCKETS[0]}/socket"
    assert bare.run(socket).stdout.split(":")[2] == "var_lib_t"
    bare.poweroff()
    upgrade(trees["newer"], "newer", bare.disk)
    bare.boot(arguments=ENFORCING)
    assert bare.failed_units() == []
    assert bare.run(socket).stdout.split(":")[2] == "var_run_t"
    assert denials(bare) == []
    add_program(bare)
    bare.run("nix-aurora relabel --yes")
    bare.linger("tester")
    check_session(bare)
    _check_enforced(bare)
