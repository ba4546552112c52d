"""Test an enforcing host that gets nix-aurora-selinux later than nix-aurora."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from accept.outcome import Result
from tests.harness.ostree import ENFORCING, upgrade
from tests.harness.qemu import Machine
from tests.harness.tree import Tree
from tests.nix_root import TAKE_BINDS
from tests.ostree.accepting import judge_selinux
from tests.ostree.enforcing import SOCKETS, check_enforced, denials, enforcing_machine
from tests.whole import add_program, build, check_session

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def bare(
    enforcing: Mapping[str, Tree], shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Yield a machine without the module, in its first boot, on the root of binds."""
    place = tmp_path_factory.mktemp("bare") / "machine"
    with enforcing_machine(enforcing, "bare", shared, place) as machine:
        machine.boot(arguments=f"{ENFORCING} {TAKE_BINDS}")
        yield machine


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


def test_module_can_be_installed_after_a_boot(bare: Machine, enforcing: Mapping[str, Tree]) -> None:
    """Start with a socket that the daemon created, whose label forbids systemd to remove it."""
    socket = f"stat --format=%C {SOCKETS[0]}/socket"
    assert bare.run(socket).stdout.split(":")[2] == "var_lib_t"
    bare.poweroff()
    upgrade(enforcing["newer"], "newer", bare.disk)
    bare.boot(arguments=ENFORCING)
    assert bare.failed_units() == []
    assert bare.run(socket).stdout.split(":")[2] == "var_run_t"
    assert denials(bare) == []
    add_program(bare)
    bare.run("nix-aurora relabel --yes")
    bare.linger("tester")
    check_session(bare)
    check_enforced(bare)
