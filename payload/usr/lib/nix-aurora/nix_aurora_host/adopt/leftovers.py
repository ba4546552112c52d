"""Leftovers of another Nix beside its store: units, mounts, profile scripts, its receipt."""

import os

from nix_aurora_host import disk, paths

_RECEIPT = "receipt.json"


def put_receipt_aside(directory: str) -> str | None:
    """Rename the receipt of nix-installer, whose uninstaller deletes the store; return the name.

    Return None if there is none, or if it cannot be renamed.
    """
    old = f"{directory}/{_RECEIPT}"
    if not os.path.lexists(old):
        return None
    new = f"{old}.put-aside"
    while os.path.lexists(new):
        new = f"{old}.put-aside-{os.urandom(3).hex()}"
    try:
        os.rename(old, new)
        disk.sync(directory)
    except OSError:  # the file system may be read-only
        return None
    return new


def next_commands() -> list[str]:
    """Return the commands that show the store on /nix if something else is mounted there."""
    try:
        shown = os.path.samefile(paths.PREFIX, paths.STORE)
    except OSError:
        shown = False
    return [] if shown else ["sudo nix-aurora set-aside", "systemctl reboot"]
