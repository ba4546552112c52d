"""Test Btrfs with separate subvolumes for / and /var, the layout of Kinoite's installer.

The imported store shares its blocks with the deployment.
"""

from collections.abc import Iterator, Mapping

import pytest

from tests.harness.ostree import deploy, make_disk
from tests.harness.qemu import Machine
from tests.harness.system import System
from tests.harness.tree import Tree
from tests.ostree.sources import check_sources
from tests.whole import add_program, check_whole, check_works

pytestmark = pytest.mark.long

_BRANCH = "nix-forky"
_MOUNTS = """
for place in / /sysroot /var /boot; do
    findmnt --noheadings --raw --output FSTYPE,FSROOT --mountpoint $place
done
"""
# This prints, in bytes, all of the store's data, and the part that no other file shares.
_SHARES = "btrfs filesystem du --raw --summarize /var/lib/nix/store | tail -n 1"
# This prints, in bytes, the growth of the file system through an import, including metadata, and
# the size of its store. The space that Nix reserves for a full disk does not count.
_IMPORT_ANEW = """
used() {
    local size blocks free
    sync
    btrfs filesystem sync /var
    read -r size blocks free < <(stat --file-system --format='%S %b %f' /var)
    echo $(((blocks - free) * size))
}
nix-aurora purge --yes
before=$(used)
systemctl start nix-setup.service nix.mount
rm /var/lib/nix/var/nix/db/reserved
echo "$(($(used) - before)) $(du --bytes --summarize /var/lib/nix/store | cut -f 1)"
systemctl start nix-daemon.socket
"""
_SETUP = """
systemctl show --property=ConditionResult --value nix-setup.service
ls --inode --directory /var/lib/nix/store/*
"""


@pytest.fixture(scope="module")
def machine(
    branches: Mapping[str, Tree], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Yield a machine in its first boot with the package."""
    place = tmp_path_factory.mktemp("btrfs")
    disk, boot = place / "disk.img", place / "boot.img"
    make_disk({_BRANCH: branches[_BRANCH]}, disk, boot=boot)
    deploy(branches[_BRANCH], _BRANCH, disk, boot=boot)
    with Machine(disk, place / "machine", boot=boot) as machine:
        yield machine
    machine.disk.unlink()
    disk.unlink()


def _check_shared(host: System) -> None:
    data, exclusive = map(int, host.run(_SHARES).stdout.split()[:2])
    print(f"{exclusive} of {data}")
    assert data > 50_000_000
    assert exclusive <= 0.05 * data


def test_first_boot_shares_the_deployments_blocks(machine: Machine) -> None:
    mounts = machine.run(_MOUNTS).stdout.splitlines()
    assert mounts == ["overlay /", "btrfs /root", "btrfs /var", "ext4 /"]
    check_sources(machine)
    _check_shared(machine)
    add_program(machine)
    check_whole(machine)


def test_import_adds_little_to_the_disk(machine: Machine) -> None:
    added, size = map(int, machine.run(_IMPORT_ANEW).stdout.split()[-2:])
    print(f"{added} of {size}")
    assert added <= 0.05 * size
    _check_shared(machine)


def test_reboot_imports_nothing(machine: Machine) -> None:
    add_program(machine)
    before = machine.run(_SETUP).stdout.splitlines()
    machine.reboot()
    after = machine.run(_SETUP).stdout.splitlines()
    assert (before[0], after[0]) == ("yes", "no")
    assert after[1:] == before[1:]
    check_works(machine)
