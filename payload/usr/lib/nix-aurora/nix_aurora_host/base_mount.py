"""The file system of its own that may be mounted on /var/lib/nix, as systemd has been told.

While it is missing, what lies below its mount point is not the store, and stays as it is.
"""

import os
from collections.abc import Sequence

from nix_aurora_host import paths
from nix_aurora_host.errors import CommandError
from nix_aurora_host.mounts import Mount, read_mounts
from nix_aurora_host.text import command

UNIT = "var-lib-nix.mount"
# Where systemd has the unit from: an administrator, or its generator for /etc/fstab.
_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)


def is_expected(folders: Sequence[str] = _FOLDERS) -> bool:
    """Return whether a file system of its own is to be mounted on /var/lib/nix."""
    found = next((f"{folder}/{UNIT}" for folder in folders if _has(folder)), None)
    return found is not None and os.path.realpath(found) != "/dev/null"  # masked


def _has(folder: str) -> bool:
    return os.path.lexists(f"{folder}/{UNIT}")


def find(mounts: Sequence[Mount]) -> Mount | None:
    """Return what is mounted on /var/lib/nix; None where that is a directory like others."""
    base = os.path.realpath(paths.BASE)
    return next((mount for mount in reversed(mounts) if mount.point == base), None)


def is_missing() -> bool:
    """Return whether that file system is expected and not mounted."""
    return is_expected() and find(read_mounts()) is None


def require_mounted() -> None:
    """Raise CommandError where it is missing: nothing else is the store."""
    if is_missing():
        steps = " && ".join(f"sudo {command(words)}" for words in start_commands())
        raise CommandError(
            f"cannot use {paths.BASE}: {UNIT} is not mounted; nothing was changed", steps
        )


def start_commands() -> tuple[tuple[str, ...], ...]:
    """Return the commands of root's that mount it, and start what waits for it."""
    return (
        ("systemctl", "start", UNIT),
        ("systemd-tmpfiles", "--create", "nix-aurora.conf"),  # a new one has no frame yet
        ("systemctl", "restart", paths.STORE_MOUNT, paths.SETUP),  # /nix may show what is below
        ("systemctl", "start", paths.SOCKET),
    )
