"""forget-boots: remove nix-root's record of boots that have not come up."""

import os
import sys

from nix_aurora_host import paths
from nix_aurora_host.errors import FAILED
from nix_aurora_host.nix_root import syscalls
from nix_aurora_host.nix_root.notes import remove


def main() -> int:
    """Remove the record; return the exit code."""
    try:
        if os.path.exists(paths.PENDING) and not os.access("/etc", os.W_OK):
            _uncover_etc()
        remove(paths.PENDING)
    except OSError as error:
        subject = f"{error.filename}: {error.strerror}"
        print(f"forget-boots: cannot remove the note of boots: {subject}", file=sys.stderr)
        print("hint: findmnt --target /etc", file=sys.stderr)
        return FAILED
    return 0


def _uncover_etc() -> None:
    """Show this process the host's own /etc.

    systemd-confext merges extensions of /etc as a read-only overlay. The record is below it.
    """
    syscalls.unshare_mounts()
    syscalls.detach("/etc")
