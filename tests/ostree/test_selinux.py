"""Test SELinux in enforcing mode, with Debian's policy and Fedora's rules in harness/selinux."""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from accept.outcome import Result
from tests.harness.ostree import ENFORCING, TRANSIENT, upgrade
from tests.harness.qemu import Machine
from tests.harness.tree import Tree
from tests.host.adopting import FORMER, LEAVE
from tests.nix_root import TAKE_BINDS
from tests.ostree.accepting import judge_selinux
from tests.ostree.enforcing import (
    STORE,
    check_enforced,
    check_labels,
    denials,
    enforcing_machine,
)
from tests.whole import add_program, build, check_profile, check_session, check_store, version

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def machine(
    enforcing: Mapping[str, Tree], shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Yield a machine with the module, off, that has never booted."""
    place = tmp_path_factory.mktemp("labeled") / "machine"
    with enforcing_machine(enforcing, "older", shared, place) as machine:
        yield machine


def test_first_boot_moves(machine: Machine) -> None:
    machine.boot(arguments=ENFORCING)
    assert machine.read("/run/nix-aurora/root") == "overlay\n"
    add_program(machine)
    machine.linger("tester")
    check_session(machine)
    check_store(machine)
    check_enforced(machine)
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
    check_labels(machine)

    machine.run("chcon --type=var_lib_t /var/lib/nix/store")
    labels, others = judge_selinux(machine)
    assert labels.detail == "/var/lib/nix/store: expected bin_t, got var_lib_t"
    assert (labels.result, others.result) == (Result.FAILED, Result.OK)
    found = json.loads(machine.run("nix-aurora doctor --json", check=False).stdout)["findings"]
    fix = {finding["id"]: finding["fix"] for finding in found}["label:/var/lib/nix/store"]
    typed = f"echo yes | script --quiet --return --command {shlex.quote(fix)} /dev/null"
    machine.run_as("tester", typed, login=False)
    check_labels(machine)
    assert denials(machine) == []


def test_adopted_store_is_labeled_before_anything_is_started(machine: Machine) -> None:
    """Adopt a store with the labels of its former place, from which no service may run programs."""
    machine.run(LEAVE)
    machine.run(f"chcon --recursive --type=user_home_t {FORMER}")
    machine.reboot(arguments=ENFORCING)
    machine.run("nix-aurora adopt --yes")
    check_profile(machine)
    check_store(machine)
    check_enforced(machine)


def test_namespace_layout_works_and_a_running_system_moves(machine: Machine) -> None:
    """Boot with the store that was adopted."""
    machine.run("nix-aurora mount disable")
    machine.reboot(arguments=ENFORCING)
    assert machine.read("/run/nix-aurora/layout") == "namespace\n"
    check_enforced(machine)
    seen = machine.run_as("tester", "nix-aurora shell stat --format=%C / /nix /bin/").stdout
    assert [line.split(":")[2] for line in seen.splitlines()] == ["root_t", "bin_t", "bin_t"]
    machine.run("nix-aurora mount enable --yes --now")
    assert machine.read("/run/nix-aurora/root") == "overlay\n"
    check_enforced(machine)


def test_upgrade_onto_binds_moves(machine: Machine, enforcing: Mapping[str, Tree]) -> None:
    """Move by binds, for kernels that do not stack an overlay on /."""
    labels = {
        name: machine.run(f"stat --format=%C {name}").stdout
        for name in ("/", "/boot", "/usr", "/home")
    }
    machine.poweroff()
    upgrade(enforcing["newer"], "newer", machine.disk)
    machine.boot(arguments=f"{ENFORCING} {TAKE_BINDS}")
    assert machine.read("/run/nix-aurora/root") == "binds\n"
    assert version(machine).startswith("2.34.")
    assert machine.run("stat --format=%C /nix").stdout == f"{STORE}\n"
    for name in ("/", "/boot", "/usr", "/home"):
        assert machine.run(f"stat --format=%C {name}").stdout == labels[name]
    check_enforced(machine)


def test_transient_root_moves(machine: Machine) -> None:
    """Move from a tmpfs, whose label is not the one that services expect of /."""
    machine.reboot(arguments=f"{ENFORCING} {TRANSIENT}")
    machine.run("[ -w / ]; [ ! -e /run/nix-aurora/root ]")
    check_enforced(machine)
