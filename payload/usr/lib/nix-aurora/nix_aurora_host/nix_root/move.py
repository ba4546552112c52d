"""Move onto the new root, and clean up after a run that ended at any point."""

import os

from nix_aurora_host.mounts import read_mounts
from nix_aurora_host.nix_root import boots, syscalls
from nix_aurora_host.nix_root.build import NEW, WORK
from nix_aurora_host.nix_root.mountinfo import count
from nix_aurora_host.nix_root.notes import MADE, note

# This name reaches the topmost mount on /: after the move, the old root.
_TOPMOST = "/.."


def move(kind: str, kernel: str, boot: str) -> None:
    """Move every process whose root is / onto the new root, which has the names of the old one."""
    note(MADE, kind)
    boots.add(kind, kernel, boot)
    os.chdir(NEW)
    syscalls.pivot_root(".", ".")  # the old root is now mounted on the new one


def clean(boot: str) -> None:
    """Remove everything that the run has left, wherever it ended.

    Before the move, everything that it made is below WORK.
    """
    os.chdir("/")
    if os.path.exists(MADE):
        if os.path.isdir("/nix"):
            _finish()
        else:  # this boot has not moved
            boots.remove(boot)
            os.unlink(MADE)
    if count(read_mounts(), WORK):
        _unmount(WORK, WORK)
    if os.path.isdir(WORK):
        os.rmdir(WORK)


def _finish() -> None:
    """Unmount the old root, which is mounted on the new one, and share mounts as systemd does."""
    if count(read_mounts(), "/") > 1:
        _unmount("/", _TOPMOST)
    syscalls.propagate("/", syscalls.SHARED)


def _unmount(place: str, topmost: str) -> None:
    """Unmount everything on ``place``; the name ``topmost`` reaches it.

    Make it private first: unmounting a shared mount would unmount every copy.
    """
    syscalls.propagate(topmost, syscalls.PRIVATE | syscalls.RECURSIVE)
    syscalls.detach(place)
