"""The line of fstab that mounts another Nix's store."""

import pytest
from nix_aurora_host.adopt.fstab import move_line, parse_fstab

_TEXT = b"""# a comment
UUID=1234 / btrfs subvol=root,x-systemd.device-timeout=0 0 0

UUID=1234\t/nix  btrfs subvol=nix,noatime 0 0
/var/home/nix /nix none bind
/dev/a\\040b /mnt ext4
short line
"""


def test_lines_are_parsed() -> None:
    lines = list(parse_fstab(_TEXT))
    assert [line.number for line in lines] == [2, 4, 5, 6]
    assert lines[1].source == "UUID=1234"
    assert lines[1].point == "/nix"
    assert lines[1].options == ("subvol=nix", "noatime")
    assert [line.is_bind for line in lines] == [False, False, True, False]
    assert lines[3].source == "/dev/a b"
    assert lines[3].options == ("defaults",)


def test_the_line_is_kept_as_a_comment() -> None:
    line = list(parse_fstab(_TEXT))[1]
    new = move_line(_TEXT, line)
    assert b"# nix-aurora adopt: UUID=1234\t/nix  btrfs subvol=nix,noatime 0 0\n" in new
    assert b"\nUUID=1234\t/var/lib/nix  btrfs subvol=nix,noatime 0 0\n" in new
    assert [found.point for found in parse_fstab(new)] == ["/", "/var/lib/nix", "/nix", "/mnt"]
    assert new.splitlines()[0] == _TEXT.splitlines()[0]


@pytest.mark.parametrize("text", [b"", b"\n", b"#", b"\xff\xfe", b"a b"])
def test_a_file_without_such_a_line_has_none(text: bytes) -> None:
    assert list(parse_fstab(text)) == []


def test_bytes_that_are_no_text_stay() -> None:
    text = b"/dev/\xff /nix ext4 defaults"
    (line,) = parse_fstab(text)
    assert move_line(text, line).endswith(b"\n/dev/\xff /var/lib/nix ext4 defaults")
