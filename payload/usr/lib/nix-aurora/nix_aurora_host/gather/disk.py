"""The place of /var/lib/nix: a separate file system, a link, a btrfs without checksums."""

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from nix_aurora_host import base_mount, paths
from nix_aurora_host.adopt import fstab
from nix_aurora_host.adopt.mounts import find_mount
from nix_aurora_host.mounts import Mount, read_mounts
from nix_aurora_host.move.places import BEFORE, MARKER
from nix_aurora_host.system import read

_GETFLAGS = 0x80086601  # FS_IOC_GETFLAGS: linux/fs.h; the same on x86_64 and aarch64
_NOCOW = 0x00800000  # FS_NOCOW_FL
_OF_THE_IMAGE = {"/", "/sysroot", "/var"}
_UNSUMMED = {"nodatacow", "nodatasum"}


@dataclass(frozen=True, slots=True)
class Disk:
    """The properties of the place of the store.

    ``missing`` means that a separate file system is expected and not mounted. If /var/lib/nix is a
    link, ``link`` is its target, and ``lasting`` means that each boot mounts that target's disk.
    ``unsummed`` is the mount option that turns off the checksums of a btrfs, and ``nocow`` are the
    directories whose new files have no checksums. ``before`` means that the store from before a
    move still exists.
    """

    missing: bool = False
    link: str | None = None
    lasting: bool = True
    mounted: bool = False
    read_only: bool = False
    unsummed: str | None = None
    nocow: tuple[str, ...] = ()
    before: bool = False
    unfinished: bool = False  # a move, whose copy is mounted


def gather_disk() -> Disk:
    """Return the properties of the place of the store."""
    mounts = read_mounts()
    base = os.path.realpath(paths.BASE)
    mount = find_mount(base, mounts)
    btrfs = mount is not None and mount.kind == "btrfs"
    return Disk(
        missing=base_mount.is_missing(),
        link=base if Path(paths.BASE).is_symlink() else None,
        lasting=_is_lasting(mount),
        mounted=base_mount.find(mounts) is not None,
        read_only=Path(base).is_dir() and bool(os.statvfs(base).f_flag & os.ST_RDONLY),
        unsummed=find_unsummed(mount) if mount is not None and btrfs else None,
        nocow=tuple(path for path in (paths.BASE, paths.STORE) if btrfs and _is_nocow(path)),
        before=os.path.lexists(BEFORE),
        unfinished=os.path.lexists(f"{base}/{MARKER}"),
    )


def _is_lasting(mount: Mount | None) -> bool:
    """Return whether each boot creates a mount: by the image, or by a line of fstab."""
    lines = fstab.parse(os.fsencode(read(fstab.FILE) or ""))
    points = {os.path.realpath(line.point) for line in lines}
    return mount is None or mount.point in points | _OF_THE_IMAGE


def find_unsummed(mount: Mount) -> str | None:
    """Return the option that turns off the checksums of a btrfs: btrfs(5)."""
    return next((name for name in mount.options.split(",") if name in _UNSUMMED), None)


def _is_nocow(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # missing, or this user may not open it
        return False
    try:
        return bool(struct.unpack("L", fcntl.ioctl(descriptor, _GETFLAGS, bytes(8)))[0] & _NOCOW)
    except OSError:  # another file system
        return False
    finally:
        os.close(descriptor)
