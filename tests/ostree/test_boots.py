"""Machines of the harness between their boots: what the other tests of this tier lean on."""

import pytest

from nix_aurora.errors import ToolError
from tests.harness.qemu import REBOOT
from tests.ostree.conftest import MachineMaker

_BOOTED = "ostree admin status | sed -n 's/.*origin refspec: //p' | head -n 1"


def test_a_transient_root_takes_nix_and_forgets_it(make_machine: MachineMaker) -> None:
    machine = make_machine("transient-base")
    machine.boot()
    machine.run("mkdir /nix /var/kept")
    machine.reboot()
    machine.run("[ ! -e /nix ] && [ -d /var/kept ]")
    assert machine.failed_units() == []
    machine.poweroff()


def test_upgrade_and_rollback_keep_var_and_changed_etc(make_machine: MachineMaker) -> None:
    machine = make_machine("base")
    machine.boot()
    machine.run("echo kept >/etc/kept; echo kept >/var/kept; echo lost >/run/lost")
    machine.run("ostree admin switch nix-forky")
    assert machine.run(_BOOTED).stdout == "nix-forky\n"  # listed first: it is to be booted
    machine.reboot()
    assert machine.run("cat /etc/kept /var/kept").stdout == "kept\nkept\n"
    machine.run("[ ! -e /run/lost ] && [ -e /usr/bin/nix ]")
    machine.run("ostree admin set-default 1")
    machine.reboot()
    assert machine.run("cat /etc/kept /var/kept").stdout == "kept\nkept\n"
    machine.run("[ ! -e /usr/bin/nix ]")
    assert machine.failed_units() == []


def test_a_power_cut_loses_what_is_not_on_the_disk(make_machine: MachineMaker) -> None:
    machine = make_machine("base")
    machine.boot(arguments="harness.word=one")
    assert "harness.word=one" in machine.read("/proc/cmdline").split()
    machine.run("echo kept >/var/kept; sync; echo lost >/var/lost")
    machine.kill()
    with pytest.raises(RuntimeError, match="off"):
        machine.run("true")
    machine.boot()
    assert machine.read("/var/kept") == "kept\n"
    assert machine.run("cat /var/lost", check=False).stdout == ""
    assert machine.failed_units() == []
    machine.run("systemd-run --quiet --on-active=1 systemctl poweroff")
    with pytest.raises(ToolError, match="expected guest-reset, got guest-shutdown"):
        machine.wait_for_exit(REBOOT)


def test_a_host_that_does_not_start_tells_its_console(make_machine: MachineMaker) -> None:
    machine = make_machine("base")
    with pytest.raises(ToolError, match=r"(?s)the end of QEMU.*panic"):
        machine.boot(arguments="rdinit=/none")
