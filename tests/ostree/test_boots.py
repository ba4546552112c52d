"""Machines of the harness between their boots: what the other tests of this tier lean on."""

import pytest

from nix_aurora.errors import ToolError
from tests.harness.qemu import REBOOT
from tests.ostree.conftest import MachineMaker


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
