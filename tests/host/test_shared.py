"""Test the import on btrfs, in the layout of Fedora's desktop installers: blocks are shared.

/sysroot and /var are subvolumes of one file system, and /usr is not on it: to the import, this is a
root that ostree has assembled with composefs.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nix_aurora.run import run
from tests.harness.scratch import Scratch
from tests.harness.tree import Tree
from tests.host.conftest import NixTreeMaker
from tests.whole import IMPORT, WHOLE, check_clean

_DISK = "/var/disk"
_DEPLOYMENT = f"{_DISK}/root/ostree/deploy/default/deploy/abc.0"
_PREPARE = f"""
python3 -I - <<'END'
import fcntl, os, struct
disk = os.open("{_DISK}", os.O_RDONLY)
for name in (b"root", b"var"):
    # BTRFS_IOC_SUBVOL_CREATE
    fcntl.ioctl(disk, 0x5000940E, bytearray(struct.pack("q4088s", 0, name)))
END
mkdir -p {_DEPLOYMENT}/usr/lib {_DISK}/var/nix /var/lib/nix /var/home /var/roothome
cp -a /usr/lib/nix-aurora {_DEPLOYMENT}/usr/lib/
mount --bind {_DISK}/root /sysroot
mount -o remount,bind,ro /sysroot
mount --bind {_DISK}/var/nix /var/lib/nix
systemd-tmpfiles --create nix-aurora.conf
mount --bind /var/lib/nix /nix
python3 -I - <<'END'
import os, struct
status = os.stat("/sysroot/ostree/deploy/default/deploy/abc.0")
key = b"backing-root-device-inode\\0"
value = struct.pack("=QQ", status.st_dev, status.st_ino)
with open("/run/ostree-booted", "wb") as file: # as ostree-prepare-root writes it
    file.write(key + bytes(-len(key) % 8) + value + b"\\0(tt)\\x1a")
END
"""
# This prints, in bytes, the growth of the file system through an import, and the size of its store.
# The space that Nix reserves for a full disk does not count.
_MEASURE = f"""
used() {{
    local size blocks free
    sync
    read -r size blocks free < <(stat --file-system --format='%S %b %f' {_DISK})
    echo $(((blocks - free) * size))
}}
before=$(used)
{IMPORT}
rm -f /nix/var/nix/db/reserved
echo "$(($(used) - before)) $(du --bytes --summarize /nix/store | cut -f 1)"
"""


@pytest.fixture
def host(make_nix_tree: NixTreeMaker, tmp_path: Path) -> Iterator[Scratch]:
    """Return a host with an empty store, on a separate file system."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(1 << 30)
    run(["mkfs.btrfs", "--quiet", image])
    tree: Tree = make_nix_tree("forky")
    with Scratch(tree.layers, images={image: _DISK}) as scratch:
        scratch.run(_PREPARE)
        yield scratch


def _import(host: Scratch) -> float:
    """Import; return the growth of the used space as a fraction of the closure's size."""
    added, size = host.run(_MEASURE).stdout.split()[-2:]
    check_clean(host.run(WHOLE))
    print(f"{added} of {size}")
    return int(added) / int(size)


def test_store_shares_its_blocks_with_the_deployment(host: Scratch) -> None:
    assert _import(host) <= 0.05


@pytest.mark.parametrize("lose", ["rm /run/ostree-booted", ": >/run/ostree-booted"])
def test_everything_is_copied_without_a_deployment(host: Scratch, lose: str) -> None:
    host.run(lose)
    assert _import(host) > 0.5


@pytest.mark.parametrize(
    "damage",
    [
        "truncate --size=9 store/*/lib/libc.so.6",
        "rm store/*/lib/libc.so.6",
        "rm -r store/*glibc*",
        "rm store/*/lib/libc.so.6; mkfifo $(ls -d store/*glibc*/lib)/libc.so.6",
    ],
)
def test_files_that_differ_in_the_deployment_come_from_usr(host: Scratch, damage: str) -> None:
    host.run(f"cd {_DEPLOYMENT}/usr/lib/nix-aurora; {damage}")
    assert _import(host) < 0.5


def test_purge_leaves_nothing(host: Scratch) -> None:
    """On btrfs, the listing of a directory that purge opened earlier lacks the entries it adds."""
    _import(host)
    host.run("nix-aurora purge --yes")
    assert host.run(f"ls --almost-all {_DISK}/var/nix").stdout == ""
