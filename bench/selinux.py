"""Measure the cost of labels in the import, on an emulated host that enforces SELinux."""

import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.measure import Figure
from tests.harness.ostree import ENFORCING, bootable_tree, deploy, make_disk
from tests.harness.provides import provides_rpm
from tests.harness.qemu import Machine
from tests.harness.tree import layer_rpms

# With one context for the whole mount, the kernel still queries the policy, but stores no labels.
_OPTIONS = {"labels": "rw", "none": "context=system_u:object_r:bin_t:s0"}
_IMPORT = """
systemctl stop nix-daemon.socket nix-daemon.service nix-setup.service
! mountpoint --quiet /var/lib/nix || umount /var/lib/nix
mkfs.ext4 -q -F /dev/disk/by-id/virtio-disk1
mount -o "$OPTIONS" /dev/disk/by-id/virtio-disk1 /var/lib/nix
systemd-tmpfiles --create nix-aurora.conf
sync
start=${EPOCHREALTIME/./}
systemctl start nix-setup.service
echo "took $((${EPOCHREALTIME/./} - start))"
[ -z "$(find /var/lib/nix/store ! -context '*:bin_t:*')" ]
"""


def figures(package: Path, work: Path, times: int) -> Iterator[Figure]:
    """Measure the import of ``package`` on a file system with labels, and on one without."""
    (module,) = package.parent.glob("nix-aurora-selinux-*.noarch.rpm")
    policy = provides_rpm(work, ["selinux-policy-targeted"], name="policy-provides")
    rpms = [package, policy, module]
    tree = layer_rpms(bootable_tree(enforcing=True), rpms, work / "selinux-layer")
    disk, second = work / "selinux.img", work / "second.img"
    make_disk({"nix": tree}, disk)
    deploy(tree, "nix", disk)
    with second.open("wb") as file:
        file.truncate(1 << 30)

    machine = Machine(disk, work / "selinux", disks=[second])
    machine.open()
    try:
        machine.boot(arguments=ENFORCING)
        pairs = [
            [_seconds(machine, options) for options in _OPTIONS.values()] for _ in range(times)
        ]
    finally:
        machine.close()
    labels, none = (median(column) for column in zip(*pairs, strict=True))
    yield Figure(
        "import with SELinux labels", labels, none, "s", "<= 1.25 x", "the same, none stored"
    )


def _seconds(machine: Machine, options: str) -> float:
    """Import everything into a new file system; check its labels after the clock stops."""
    output = machine.run(_IMPORT, env={"OPTIONS": options}).stdout
    (took,) = re.findall(r"^took (\d+)$", output, re.MULTILINE)
    return int(took) / 1e6
