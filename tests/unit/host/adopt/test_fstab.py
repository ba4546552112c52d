"""Test edits of the fstab line that mounts another Nix's store."""

import pytest
from nix_aurora_host.adopt.fstab import find_moved, give_back, move_line, parse
from nix_aurora_host.former.mounts import Line

_TEXT = b"""# a comment
UUID=1234 / btrfs subvol=root,x-systemd.device-timeout=0 0 0

UUID=1234\t/nix  btrfs subvol=nix,noatime 0 0
/var/home/nix /nix none bind
/dev/a\\040b /mnt ext4
short
"""


def test_line_is_kept_as_a_comment() -> None:
    line = list(parse(_TEXT))[1]
    new = move_line(_TEXT, line)
    assert b"# nix-aurora adopt: UUID=1234\t/nix  btrfs subvol=nix,noatime 0 0\n" in new
    assert b"\nUUID=1234\t/var/lib/nix  btrfs subvol=nix,noatime 0 0\n" in new
    assert [found.point for found in parse(new)] == ["/", "/var/lib/nix", "/nix", "/mnt"]
    assert new.splitlines()[0] == _TEXT.splitlines()[0]


@pytest.mark.parametrize("text", [b"", b"# x\n", b"# x"])
def test_line_that_was_set_aside_is_added(text: bytes) -> None:
    line = Line(0, "/dev/a b", "/nix", "btrfs", ("subvol=x", ""))
    new = move_line(text, line)
    assert new.splitlines()[-1] == b"/dev/a\\040b /var/lib/nix btrfs subvol=x 0 0"
    assert new.endswith(b"\n")
    assert parse(new)[-1].source == "/dev/a b"
    assert b" defaults 0 0\n" in move_line(text, Line(0, "UUID=1", "/nix", "auto", ("",)))


@pytest.mark.parametrize("text", [b"", b"\n", b"#", b"\xff\xfe"])
def test_text_without_a_mount_has_no_lines(text: bytes) -> None:
    assert list(parse(text)) == []


def test_bytes_that_are_not_text_are_kept() -> None:
    text = b"/dev/\xff /nix ext4 defaults"
    (line,) = parse(text)
    assert move_line(text, line).endswith(b"\n/dev/\xff /var/lib/nix ext4 defaults")


def test_moved_line_is_restored() -> None:
    line = list(parse(_TEXT))[1]
    moved = move_line(_TEXT, line, by="move")
    found = find_moved(moved, by="move")
    assert found is not None
    assert (found.source, found.point, found.options) == ("UUID=1234", "/nix", line.options)
    assert give_back(moved, by="move") == _TEXT
    assert find_moved(moved, by="adopt") is None
    assert give_back(moved, by="adopt") == moved


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"# nix-aurora move: UUID=1 /var/new btrfs",
        b"# nix-aurora move: UUID=1 /var/new btrfs\nUUID=1 /var/elsewhere btrfs\n",
        b"# nix-aurora move: nonsense\nUUID=1 /var/lib/nix btrfs\n",
    ],
)
def test_comment_without_its_line_is_kept(text: bytes) -> None:
    assert find_moved(text, by="move") is None
    assert give_back(text, by="move") == text
