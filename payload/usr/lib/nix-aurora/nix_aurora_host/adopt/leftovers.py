"""What another Nix has left beside its store: units, mounts, profile scripts, its receipt."""

import os

from nix_aurora_host import disk, paths

_RECEIPT = "receipt.json"


def put_receipt_aside(directory: str) -> str | None:
    """Rename the receipt of nix-installer, whose uninstaller deletes the store; return the name.

    None where there is none, or where it cannot be renamed.
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
    except OSError:  # on a file system that is mounted read-only
        return None
    return new


def next_commands() -> list[str]:
    """Return the commands that show the store on /nix, where something else is there."""
    try:
        shown = os.path.samefile(paths.PREFIX, paths.STORE)
    except OSError:
        shown = False
    return [] if shown else ["sudo nix-aurora set-aside", "systemctl reboot"]
