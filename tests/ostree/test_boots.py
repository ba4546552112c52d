"""Test the harness's machines between their boots, on which the other tests of this tier depend."""

import pytest

from nix_aurora.errors import ToolError
from tests.harness.qemu import REBOOT
from tests.ostree.conftest import MachineMaker


def test_power_cut_loses_data_that_is_not_on_the_disk(make_machine: MachineMaker) -> None:
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


def test_failed_start_reports_the_console(make_machine: MachineMaker) -> None:
    machine = make_machine("base")
    with pytest.raises(ToolError, match=r"(?s)the end of QEMU.*panic"):
        machine.boot(arguments="rdinit=/none")
