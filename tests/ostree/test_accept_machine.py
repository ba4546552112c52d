"""Test the acceptance script over ssh on a machine with its own kernel."""

from pathlib import Path

from tests.harness.qemu import Machine
from tests.ostree.accepting import check_green, let_in
from tests.ostree.conftest import DiskMaker

# QEMU's network for a guest, which has no DHCP client here.
_NETWORK = """
for device in /sys/class/net/e*; do
    ip link set "${device##*/}" up
    ip address add 10.0.2.15/24 dev "${device##*/}"
done
"""


def test_machine_is_green(disk: DiskMaker, tmp_path: Path) -> None:
    with Machine(disk("nix-forky"), tmp_path / "machine", network=True) as machine:
        machine.run(_NETWORK)
        check_green(let_in(machine, tmp_path).accept(), "mount: / is an overlay")
    machine.disk.unlink()
