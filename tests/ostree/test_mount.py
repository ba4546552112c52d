"""Test stock composefs in QEMU: every boot and restart moves onto a root with /nix."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.qemu import Machine
from tests.harness.system import System
from tests.ostree.accepting import check_green, let_in
from tests.ostree.conftest import KINDS, DiskMaker
from tests.torture import chosen
from tests.whole import add_program, check_session, check_whole, check_works

pytestmark = pytest.mark.long

# The acceptance script describes each kind of root directory with these words.
_DETAILS = {"overlay": "mount: / is an overlay", "binds": "mount: / is made of binds"}
# This configures QEMU's network for a guest, which has no DHCP client here.
_NETWORK = """
for device in /sys/class/net/e*; do
    ip link set "${device##*/}" up
    ip address add 10.0.2.15/24 dev "${device##*/}"
done
"""
_LATER = """
mkdir -p /var/srv/later
mountpoint -q /var/srv/later || mount -t tmpfs later /var/srv/later
touch /srv/later/there
"""


def check_everywhere(host: System, kind: str) -> None:
    """Fail unless the system with a new root works as before, and has /nix."""
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    assert host.read("/run/nix-aurora/root") == f"{kind}\n"
    host.run("[ ! -e /etc/nix-aurora.root-pending ]; [ ! -e /run/nix-root ]; [ ! -w / ]")
    host.run("[ -w /nix/store ]; mountpoint -q /var; ! mount -o remount,rw / || [ ! -w / ]")
    assert host.run("findmnt -no FSTYPE,SOURCE /").stdout.split() == ["overlay", "composefs"]
    check_works(host)
    host.linger("tester")
    check_session(host)
    assert host.run_as("tester", "sudo id -u").stdout == "0\n"
    assert host.run("su tester -c 'unshare -Urm id -u'").stdout == "0\n"
    host.run(_LATER)
    assert host.run_as("tester", "ls /srv/later").stdout == "there\n"
    host.run("systemctl daemon-reexec; rpm -qa | grep ^nix-aurora-")
    assert "* default" in host.run("ostree admin status").stdout
    assert host.failed_units() == []


def is_as_before(host: System) -> None:
    """Fail unless the host has its stock root and the namespace layout, and works."""
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    host.run("[ ! -e /nix ]; ! mountpoint -q /run/nix-root; [ ! -e /run/nix-root ]")
    check_works(host)


@pytest.fixture(scope="module", params=chosen(list(KINDS)))
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of root directory that the module's machine gets."""
    return str(request.param)


@pytest.fixture(scope="module")
def machine(
    kind: str, disk: DiskMaker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Yield a machine in its first boot with the package."""
    place = tmp_path_factory.mktemp("mount") / "machine"
    with Machine(disk("nix-forky", arguments=KINDS[kind]), place, network=True) as machine:
        yield machine
    machine.disk.unlink()


def test_installation_and_a_reboot_are_enough(machine: Machine, kind: str) -> None:
    add_program(machine)
    check_whole(machine)
    check_everywhere(machine, kind)


def test_acceptance_script_is_green_over_ssh(machine: Machine, kind: str, tmp_path: Path) -> None:
    machine.run(_NETWORK)
    check_green(let_in(machine, tmp_path).accept(), _DETAILS[kind])


def test_soft_reboot_moves(machine: Machine, kind: str) -> None:
    machine.soft_reboot()
    check_everywhere(machine, kind)


def test_soft_reboot_into_a_prepared_deployment_moves(machine: Machine, kind: str) -> None:
    machine.run("ostree admin deploy --os=default nix-forky; ostree admin prepare-soft-reboot 0")
    machine.soft_reboot()
    check_everywhere(machine, kind)
