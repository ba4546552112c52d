"""Test the detection of another Nix's mounts: /etc/fstab and /proc/self/mountinfo."""

import pytest
from nix_aurora_host.former.facts import Cure
from nix_aurora_host.former.mounts import find_lines, find_mount, parse_fstab

_FSTAB = """\
# /nix is old
UUID=1 / btrfs subvol=root 0 0

UUID=1 /nix btrfs subvol=nix,compress=zstd:1 0 0
/var/home/my\\040nix /nix/ none bind
proc /proc
/dev/sda /nixos ext4
/x /nix/store none bind
"""
_MOUNTINFO = """\
22 1 0:20 / / ro,relatime shared:1 - overlay composefs:ab ro
90 22 0:31 /home/nix /nix rw,relatime shared:9 - btrfs /dev/sda3 rw,subvol=/home
91 22 0:32 / /nix rw shared:9 master:1 - tmpfs an\\040other rw
"""


def test_lines_for_nix_are_found_by_their_numbers() -> None:
    trace = find_lines(_FSTAB)
    assert trace is not None
    assert trace.lines == (4, 5, 8)
    assert trace.cure is Cure.COMMENT
    assert trace.effect == (
        "mounts UUID=1 on /nix and mounts /var/home/my nix on /nix and mounts /x on /nix/store"
    )


@pytest.mark.parametrize("text", ["", "# /x /nix none bind\n", "/x\n", "/x /nixos y\n", "\0 \n"])
def test_other_lines_are_ignored(text: str) -> None:
    assert find_lines(text) is None


def test_line_may_omit_type_and_options() -> None:
    (line,) = parse_fstab("/x /nix\n")
    assert (line.kind, line.options) == ("auto", ("defaults",))


def test_last_mount_is_on_top() -> None:
    top = find_mount(_MOUNTINFO)
    assert top is not None
    assert top.effect == "an other (tmpfs) lies on /nix, in place of the store"
    bound = find_mount(_MOUNTINFO.rpartition("91 ")[0])
    assert bound is not None
    assert bound.effect.startswith("/home/nix of /dev/sda3 (btrfs) lies on /nix")


@pytest.mark.parametrize("text", ["", "x", " - ", "1 2 3 4 /nix - ", "22 1 0:20 / /nix rw"])
def test_malformed_text_is_not_a_mount(text: str) -> None:
    assert find_mount(text) is None
