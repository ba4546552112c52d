"""Test reading which directory, link or file system holds the store."""

import fcntl
import os
import struct
from pathlib import Path

import pytest
from nix_aurora_host import base_mount, paths
from nix_aurora_host.adopt import fstab
from nix_aurora_host.gather import disk
from nix_aurora_host.gather.disk import Disk, find_unsummed, gather_disk
from nix_aurora_host.mounts import Mount


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory in place of /var/lib/nix."""
    base = tmp_path / "nix"
    (base / "store").mkdir(parents=True)
    monkeypatch.setattr(paths, "BASE", str(base))
    monkeypatch.setattr(paths, "STORE", str(base / "store"))
    monkeypatch.setattr(disk, "BEFORE", str(tmp_path / "before"))
    monkeypatch.setattr(base_mount, "is_expected", lambda: False)
    return base


def _mount(base: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str = "rw") -> None:
    monkeypatch.setattr(disk, "read_mounts", lambda: [Mount(str(base), kind=kind, options=options)])


def test_ordinary_directory_differs_from_a_mount(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gather_disk() == Disk()
    _mount(base, monkeypatch, "ext4")
    assert gather_disk() == Disk(mounted=True, lasting=False)


def test_traces_of_a_move_are_found(base: Path, tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    (base / ".nix-aurora-move").touch()
    assert gather_disk() == Disk(before=True, unfinished=True)


def test_link_to_a_disk_that_no_boot_mounts_is_recognized(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "fstab"
    monkeypatch.setattr(fstab, "FILE", str(table))
    base.rename(tmp_path / "elsewhere")
    base.symlink_to("elsewhere")
    monkeypatch.setattr(disk, "read_mounts", lambda: [Mount("/"), Mount(str(tmp_path))])
    assert not gather_disk().lasting
    table.write_text(f"LABEL=x {tmp_path} ext4 nofail\n")
    assert gather_disk().lasting
    monkeypatch.setattr(disk, "read_mounts", lambda: [Mount("/")])
    table.unlink()
    assert gather_disk().lasting


def test_link_is_reported_even_if_broken(base: Path, tmp_path: Path) -> None:
    base.rename(tmp_path / "elsewhere")
    base.symlink_to("elsewhere")
    assert gather_disk() == Disk(link=str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").rename(tmp_path / "gone")
    assert gather_disk() == Disk(link=str(tmp_path / "elsewhere"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("rw,nodatacow,subvol=/nix", "nodatacow"),
        ("rw,nodatasum", "nodatasum"),
        ("rw,space_cache=v2", None),
    ],
)
def test_btrfs_without_checksums_is_recognized(
    options: str, expected: str | None, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_unsummed(Mount("/", options=options)) == expected
    _mount(base, monkeypatch, "btrfs", options)
    assert gather_disk().unsummed == expected
    _mount(base, monkeypatch, "ext4", options)
    assert gather_disk().unsummed is None


def test_directories_without_checksums_are_found(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _mount(base, monkeypatch, "btrfs")
    flagged = base / "store"

    def ioctl(descriptor: int, _request: int, _buffer: bytes) -> bytes:
        same = os.fstat(descriptor).st_ino == flagged.stat().st_ino
        return struct.pack("L", 0x00800000 if same else 0)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert gather_disk().nocow == (str(flagged),)


def test_directory_with_unreadable_flags_has_none(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise OSError(25, "not here")

    _mount(base, monkeypatch, "btrfs")
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    assert gather_disk().nocow == ()
    (base / "store").rmdir()
    base.rmdir()
    assert gather_disk().nocow == ()
