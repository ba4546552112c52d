"""Test that a moved host shuts down in the same way as a host that was not moved."""

import re
from collections.abc import Iterator

import pytest

from tests.harness.ostree import PACKAGES, bootable_tree, deploy, make_disk
from tests.harness.qemu import Machine
from tests.harness.roots import debian_layers
from tests.harness.tree import Tree, layer_rpms
from tests.nix_root import ROOT_OFF, avoid_overlay
from tests.packages import PackageMaker, fit_for_sample

pytestmark = pytest.mark.long

_BRANCH = "encrypted"
_CRYPT = ("cryptsetup-bin", "systemd-cryptsetup")
# This adds an encrypted disk below /var, as an administrator would.
_ENCRYPT = """
head --bytes=32 /dev/urandom >/etc/secret.key
chmod 0600 /etc/secret.key
disk=/dev/disk/by-id/virtio-disk1
cryptsetup luksFormat --batch-mode --pbkdf=pbkdf2 --pbkdf-force-iterations=1000 \
    $disk /etc/secret.key
mkdir -p /var/srv/secret
echo "secret $disk /etc/secret.key luks" >/etc/crypttab
echo '/dev/mapper/secret /var/srv/secret ext4 defaults 0 0' >>/etc/fstab
systemctl daemon-reload
systemctl start systemd-cryptsetup@secret.service
mkfs.ext4 -q /dev/mapper/secret
systemctl start var-srv-secret.mount
"""
# The console gets all messages of systemd-shutdown.
_ARGUMENTS = "loglevel=7"


# This parses a line of the kernel's log: its author, and its text.
_SAID = re.compile(r"^\[ *[0-9.]+\] (systemd-shutdown|\(sd-\w+\))\[\d+\]: (.*?)\r*$", re.MULTILINE)
_FAILED = re.compile(r"^\[.*FAILED.*\].*$", re.MULTILINE)


@pytest.fixture(scope="module")
def machine(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Yield a machine that has moved, and has mounted an encrypted disk below /var."""
    place = tmp_path_factory.mktemp("shutdown")
    layers = bootable_tree().layers
    # This layer is below those that make the tree a Fedora Atomic host.
    base = Tree((*layers[:2], debian_layers(PACKAGES, _CRYPT)[0], *layers[2:]))
    layered = layer_rpms(base, [package()], place / "rpms")
    tree = fit_for_sample(layered, place / "settings")
    disk, more = place / "disk.img", place / "more.img"
    make_disk({_BRANCH: tree}, disk)
    deploy(tree, _BRANCH, disk)
    with more.open("wb") as file:
        file.truncate(64 << 20)
    machine = Machine(disk, place / "machine", disks=[more])
    machine.open()
    machine.boot(arguments=_ARGUMENTS)
    try:
        machine.run(_ENCRYPT)
        yield machine
    finally:
        machine.close()
        machine.disk.unlink()
        disk.unlink()


def _shut_down(machine: Machine) -> tuple[list[str], list[str]]:
    """Switch the machine off; return systemd-shutdown's messages, and the failed units."""
    machine.run("mountpoint --quiet /var/srv/secret; [ -b /dev/mapper/secret ]")
    before = machine.console.stat().st_size
    machine.poweroff()
    said = machine.console.read_bytes()[before:].decode(errors="replace")
    return sorted(line for _, line in _SAID.findall(said)), _FAILED.findall(said)


def test_everything_is_unmounted_as_on_a_stock_host(machine: Machine) -> None:
    assert machine.read("/run/nix-aurora/root") == "overlay\n"
    overlay = _shut_down(machine)
    machine.boot(arguments=f"{_ARGUMENTS} {ROOT_OFF}")
    assert machine.read("/run/nix-aurora/layout") == "namespace\n"
    avoid_overlay(machine)
    stock = _shut_down(machine)
    machine.boot(arguments=_ARGUMENTS)
    assert machine.read("/run/nix-aurora/root") == "binds\n"
    binds = _shut_down(machine)
    assert {"All filesystems unmounted.", "All DM devices detached."} <= set(stock[0])
    assert overlay == stock
    assert binds == stock
    assert stock[1] == []
