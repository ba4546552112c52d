"""nix-aurora mount on composefs: /nix for every program, through all that a system does."""

from collections.abc import Iterator

import pytest

from tests.harness.qemu import Machine
from tests.nix_root import NO_OVERLAY, break_nix_root, mend_nix_root
from tests.ostree.conftest import DiskMaker, MachineMaker
from tests.whole import add_program, check_profile, check_works

_ENABLE = "nix-aurora mount enable --yes"
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


def _is_as_before(machine: Machine) -> None:
    """Fail unless it is the stock host in the namespace layout, whole."""
    assert machine.read("/run/nix-aurora/layout") == "namespace\n"
    machine.run("[ ! -e /nix ]; ! mountpoint -q /run/nix-root; [ ! -e /run/nix-root ]")
    check_works(machine)


@pytest.fixture(scope="module")
def machine(disk: DiskMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give a machine that has imported Nix, with a program in tester's profile."""
    with Machine(disk("nix-forky"), tmp_path_factory.mktemp("mount") / "machine") as machine:
        add_program(machine)
        machine.linger("tester")
        yield machine
    machine.disk.unlink()


def test_the_running_system_moves(machine: Machine) -> None:
    machine.run(f"{_ENABLE} --now")
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
    machine.run(f"{_ENABLE} --now")  # nothing to do, unless this test runs alone
    machine.soft_reboot()
    _check_everywhere(machine)


def test_so_does_a_soft_reboot_into_a_prepared_deployment(machine: Machine) -> None:
    machine.run(f"{_ENABLE} --now")  # nothing to do, unless this test runs alone
    machine.run("ostree admin deploy --os=default nix-forky; ostree admin prepare-soft-reboot 0")
    machine.soft_reboot()
    _check_everywhere(machine)


def test_disabled_it_is_as_before(machine: Machine) -> None:
    machine.run("nix-aurora mount disable")
    machine.reboot()
    _is_as_before(machine)


# --- faults

_FAULTS = {
    "bind refused": 'mount() { [[ $* != *"--rbind /usr"* ]] || return 32; command mount "$@"; }',
    "pivot refused": "pivot_root() { return 1; }",
    "killed half-way": 'mount() { [[ $* != *"bind /usr"* ]] || kill -9 $$; command mount "$@"; }',
}
_HANG = """
cat >/etc/systemd/system/hang.service <<'END'
[Unit]
Before=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
systemctl enable hang.service
"""


def test_whatever_goes_wrong_the_boot_is_whole(make_machine: MachineMaker) -> None:
    machine = make_machine("nix-forky")
    machine.boot()
    add_program(machine)
    machine.run(_ENABLE)
    for functions in _FAULTS.values():
        break_nix_root(machine, functions)
        machine.reboot()
        assert machine.failed_units() == ["nix-root.service"]
        machine.run("systemctl reset-failed")
        _is_as_before(machine)

    # Without an overlay it goes another way.
    break_nix_root(machine, NO_OVERLAY)
    machine.reboot()
    assert machine.read("/run/nix-aurora/root") == "binds\n"
    check_works(machine)
    mend_nix_root(machine)

    # A boot that does not come up with it is the last one that tries.
    machine.run(_HANG)
    machine.reboot(wait=False)
    machine.run("until [ $(systemctl is-active hang.service) = activating ]; do sleep 0.1; done")
    assert machine.read("/run/nix-aurora/layout") == "mount\n"
    machine.kill()
    machine.boot(wait=False)
    machine.run("until [ $(systemctl is-active hang.service) = activating ]; do sleep 0.1; done")
    machine.run("systemctl disable hang.service; systemctl stop hang.service")
    machine.wait_until_up()
    machine.run("systemctl reset-failed hang.service")
    _is_as_before(machine)
    machine.run(f"{_ENABLE} --now")
    check_profile(machine)
