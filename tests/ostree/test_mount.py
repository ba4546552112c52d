"""nix-aurora mount on composefs: /nix for every program, through all that a system does."""

from collections.abc import Iterator

import pytest

from tests.harness.qemu import Machine
from tests.harness.system import System
from tests.ostree.conftest import DiskMaker
from tests.whole import add_program, check_whole, check_works

ENABLE = "nix-aurora mount enable --yes"
_USER_UNIT = """
mkdir -p .config/systemd/user
printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh -c greet\\n' >.config/systemd/user/try.service
systemctl --user daemon-reload && systemctl --user start try.service
"""
_LATER = """
mkdir -p /var/srv/later
mountpoint -q /var/srv/later || mount -t tmpfs later /var/srv/later
touch /srv/later/there
"""


def _check_everywhere(machine: Machine) -> None:
    """Fail unless the system with a new root is as good as the one that it was, and has /nix."""
    assert machine.read("/run/nix-aurora/layout") == "mount\n"
    machine.run("[ ! -e /etc/nix-aurora.root-pending ]; [ ! -e /run/nix-root ]; [ ! -w / ]")
    machine.run("[ -w /nix/store ]")
    assert "composefs" in machine.run("findmnt --noheadings --output SOURCE /").stdout
    check_works(machine)
    machine.run_as("tester", _USER_UNIT)
    assert machine.run_as("tester", "sudo id -u").stdout == "0\n"
    assert machine.run("su tester -c 'unshare -Urm id -u'").stdout == "0\n"
    machine.run(_LATER)
    assert machine.run_as("tester", "ls /srv/later").stdout == "there\n"
    machine.run("systemctl daemon-reexec; rpm -qa | grep ^nix-aurora-")
    assert "* default" in machine.run("ostree admin status").stdout
    assert machine.failed_units() == []


def is_as_before(machine: System) -> None:
    """Fail unless it is the stock host in the namespace layout, whole."""
    assert machine.read("/run/nix-aurora/layout") == "namespace\n"
    machine.run("[ ! -e /nix ]; ! mountpoint -q /run/nix-root; [ ! -e /run/nix-root ]")
    check_works(machine)


@pytest.fixture(scope="module")
def machine(disk: DiskMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give a machine that has imported Nix, with a program in tester's profile."""
    with Machine(disk("nix-forky"), tmp_path_factory.mktemp("mount") / "machine") as machine:
        add_program(machine)
        check_whole(machine)
        machine.linger("tester")
        yield machine
    machine.disk.unlink()


def test_the_running_system_moves(machine: Machine) -> None:
    machine.run(f"{ENABLE} --now")
    _check_everywhere(machine)


def test_so_does_every_boot(machine: Machine) -> None:
    """An fstab line for / makes systemd remount it, which no overlay allows."""
    machine.run("echo 'LABEL=root / ext4 defaults 0 1' >>/etc/fstab")
    machine.reboot(arguments="nix_aurora.root=off")
    stock = machine.failed_units()
    machine.reboot()
    assert machine.failed_units() == stock
    machine.run("sed -i '/ ext4 /d' /etc/fstab; systemctl daemon-reload; systemctl reset-failed")
    _check_everywhere(machine)


def test_so_does_a_soft_reboot(machine: Machine) -> None:
    machine.run(f"{ENABLE} --now")  # nothing to do, unless this test runs alone
    machine.soft_reboot()
    _check_everywhere(machine)


def test_so_does_a_soft_reboot_into_a_prepared_deployment(machine: Machine) -> None:
    machine.run(f"{ENABLE} --now")  # nothing to do, unless this test runs alone
    machine.run("ostree admin deploy --os=default nix-forky; ostree admin prepare-soft-reboot 0")
    machine.soft_reboot()
    _check_everywhere(machine)


def test_disabled_it_is_as_before(machine: Machine) -> None:
    machine.run("nix-aurora mount disable")
    machine.reboot()
    is_as_before(machine)
