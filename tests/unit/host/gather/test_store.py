"""Test parsing versions, layouts, mount points, and the owner of the default profile."""

import pytest
from nix_aurora_host.gather.profile import owner_of, parse_version
from nix_aurora_host.gather.store import AtNix, layout_of
from nix_aurora_host.occupants import find_mount_point

# /proc/self/mountinfo of a host in the mount layout, shortened.
_MOUNTINFO = r"""
401 388 0:74 / / ro,relatime shared:114 - overlay root ro,lowerdir=/a:/b
415 401 254:0 /host/var /var rw,noexec,relatime shared:125 - ext4 /dev/vda rw,discard
344 401 254:0 /host/var/lib/nix /nix rw,noexec,relatime shared:125 - ext4 /dev/vda rw,discard
408 407 0:83 / /var/lib/nixos rw - tmpfs tmpfs rw
409 407 0:83 / /mnt/a\040disk rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("nix (Nix) 2.34.8\n", (2, 34, 8)),
        ("nix (Determinate Nix 3.22.2) 2.35.2\n", (2, 35, 2)),
        ("nix (Nix) 2.36.0pre20260801_abcdef\n", (2, 36, 0)),
        ("nix (Nix) unknown\n", None),
        (f"nix (Nix) {'9' * 5000}\n", (999999999,)),
        ("", None),
    ],
)
def test_versions_are_parsed(text: str, version: tuple[int, ...] | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("reported", "kind", "layout"),
    [
        ("mount\n", AtNix.DIRECTORY, "mount"),
        ("", AtNix.OURS, "mount"),
        ("", AtNix.NOTHING, "namespace"),
        ("\n", AtNix.OTHER_STORE, "none"),
    ],
)
def test_layout_is_that_of_this_boot(reported: str, kind: AtNix, layout: str) -> None:
    assert layout_of(reported, kind) == layout


@pytest.mark.parametrize(
    ("shown", "packaged", "rooted", "owner"),
    [
        (None, "p", "p", "none"),
        ("p", "p", "p", "packaged"),
        ("old", "p", "old", "imported"),
        ("own", "p", "p", "administrator"),
        ("own", None, None, "administrator"),
    ],
)
def test_default_profile_has_an_owner(
    shown: str | None, packaged: str | None, rooted: str | None, owner: str
) -> None:
    assert owner_of(shown, packaged, rooted) == owner


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/var/lib/nix/store", "/var"),
        ("/var/lib/nixos/x", "/var/lib/nixos"),
        ("/nix", "/nix"),
        ("/nixes", "/"),
        ("/mnt/a disk/store", "/mnt/a disk"),
    ],
)
def test_mount_point_of_a_path_is_found(path: str, point: str) -> None:
    assert find_mount_point(_MOUNTINFO, path) == point


@pytest.mark.parametrize("text", ["", "x", "1 2 3\n\n", "1 2 3 4 \\04"])
def test_unusual_table_of_mounts_is_accepted(text: str) -> None:
    assert find_mount_point(text, "/var") == "/"
