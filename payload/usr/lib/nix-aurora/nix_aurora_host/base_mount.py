"""The file system that an administrator may have mounted on /var/lib/nix.

While it is missing, the directory below its mount point is not the store, and nothing changes it.
"""

import os
from collections.abc import Sequence

from nix_aurora_host import paths
from nix_aurora_host.errors import CommandError
from nix_aurora_host.mounts import Mount, read_mounts
from nix_aurora_host.text import command

UNIT = "var-lib-nix.mount"
# The folders of an administrator's unit and of systemd's generator for /etc/fstab, in the order in
# which systemd searches them: systemd.unit(5). `with-nix` has the same list.
_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)


def is_expected(folders: Sequence[str] = _FOLDERS) -> bool:
    """Return whether systemd has a unit that mounts a file system on /var/lib/nix."""
    found = next((f"{folder}/{UNIT}" for folder in folders if _has(folder)), None)
    return found is not None and os.path.realpath(found) != "/dev/null"  # masked


def _has(folder: str) -> bool:
    return os.path.lexists(f"{folder}/{UNIT}")


def find(mounts: Sequence[Mount]) -> Mount | None:
    """Return the mount on /var/lib/nix; None if that is an ordinary directory."""
    base = os.path.realpath(paths.BASE)
    return next((mount for mount in reversed(mounts) if mount.point == base), None)


def is_missing() -> bool:
    """Return whether that file system is expected and not mounted."""
    return is_expected() and find(read_mounts()) is None


def require_mounted() -> None:
    """Raise CommandError if that file system is missing."""
    if is_missing():
        steps = " && ".join(f"sudo {command(words)}" for words in start_commands())
        raise CommandError(
            f"cannot use {paths.BASE}: {UNIT} is not mounted; nothing was changed", steps
        )


def start_commands() -> tuple[tuple[str, ...], ...]:
    """Return the commands with which root mounts it and starts the units that need it."""
    return (
        ("systemctl", "start", UNIT),
        ("systemd-tmpfiles", "--create", "nix-aurora.conf"),  # a new file system is empty
        (
            "systemctl",
            "restart",
            paths.STORE_MOUNT,
            paths.SETUP,
        ),  # it may show the directory below
        ("systemctl", "start", paths.SOCKET),
    )
