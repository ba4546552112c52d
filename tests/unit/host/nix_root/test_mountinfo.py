"""Test how nix-root reads the table of mounts."""

from nix_aurora_host.mounts import Mount, parse
from nix_aurora_host.nix_root.mountinfo import count, outermost, topmost

# The table of an Atomic host, shortened.
_TABLE = """\
22 1 0:32 / / ro,relatime shared:1 - overlay composefs ro,lowerdir=/run/ostree/.private/cfsroot
23 22 0:33 / /run rw,nosuid,nodev shared:11 - tmpfs tmpfs rw,size=400000k
24 22 252:3 /ostree/etc /etc rw,relatime shared:2 master:3 - ext4 /dev/vda3 rw
25 22 252:3 /var /var rw,relatime - ext4 /dev/vda3 rw
26 25 0:40 / /var/a\\040b\\134c\\011d\\012e rw - tmpfs a\\040disk rw
27 22 0:41 / /run rw - tmpfs second rw
"""


def test_last_mount_of_a_directory_is_the_topmost() -> None:
    mounts = parse(_TABLE)
    found = topmost(mounts, "/run")
    assert isinstance(found, Mount)
    assert found.source == "second"
    assert topmost(mounts, "/usr") is None


def test_mounts_of_a_directory_are_counted() -> None:
    mounts = parse(_TABLE)
    assert [count(mounts, where) for where in ("/run", "/etc", "/usr")] == [2, 1, 0]


def test_mounts_inside_another_mount_are_left_out() -> None:
    places = {"/", "/var", "/var/lib/x", "/variant", "/boot/efi", "/usr", "/usr/local"}
    assert outermost(places) == ["/boot/efi", "/usr", "/var", "/variant"]
