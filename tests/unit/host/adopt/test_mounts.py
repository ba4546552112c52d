"""Test which names a directory has in the table of mounts."""

import pytest
from nix_aurora_host.adopt.mounts import find_mount, other_names
from nix_aurora_host.mounts import parse

_TABLE = r"""
22 1 0:20 / / ro,relatime shared:1 - overlay composefs:abc ro
30 22 0:35 /root/var /var rw shared:2 - btrfs /dev/vda3 rw
31 30 0:35 /home /var/home rw shared:3 - btrfs /dev/vda3 rw
32 22 0:35 /home/nix /nix rw shared:3 - btrfs /dev/vda3 rw
33 22 8:1 / /mnt/with\040space rw - ext4 /dev/sda1 rw
34 32 0:50 / /nix/other rw - tmpfs tmpfs rw
35 22 0:60 / /twice rw - tmpfs first rw
36 35 0:61 / /twice rw - tmpfs second rw
"""


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/nix", "/nix"),
        ("/nix/store", "/nix"),
        ("/nixos", "/"),
        ("/var/home/nix", "/var/home"),
        ("/mnt/with space/x", "/mnt/with space"),
        ("/", "/"),
    ],
)
def test_path_belongs_to_the_innermost_mount(path: str, point: str) -> None:
    found = find_mount(path, parse(_TABLE))
    assert found is not None
    assert found.point == point


def test_last_mount_on_a_directory_counts() -> None:
    found = find_mount("/twice/x", parse(_TABLE))
    assert found is not None
    assert found.source == "second"


def test_bind_has_the_names_of_its_source() -> None:
    mounts = parse(_TABLE)
    assert list(other_names("/nix", mounts)) == ["/var/home/nix"]
    assert list(other_names("/nix/store", mounts)) == ["/var/home/nix/store"]
    assert list(other_names("/var/home/nix", mounts)) == ["/nix"]
    assert list(other_names("/var/lib", mounts)) == []
    assert list(other_names("/mnt/with space", mounts)) == []
