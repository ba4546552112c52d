"""Decide from facts whether nix-root moves the system; nothing here touches the system."""

from nix_aurora_host.mounts import Mount
from nix_aurora_host.nix_root import unmoved
from nix_aurora_host.nix_root.mountinfo import count, topmost

BOOT_LIMIT = 2
"""The number of consecutive failed boots after which nix-root stops trying."""

UNITS = ["sysinit.target", "multi-user.target"]
"""The units whose states ``is_early_boot`` takes, in this order."""


class Stay:
    """Leave / unchanged: the word for programs, the reason and the hint for people."""

    def __init__(self, word: str, reason: str, hint: str) -> None:
        self.word = word
        self.reason = reason
        self.hint = hint


def decide(
    *,
    in_time: bool,
    mounts: list[Mount],
    etc_is_writable: bool,
    failed_boots: int,
    mounter: str | None = None,
) -> Stay | None:
    """Return why / stays unchanged, or None if the system is to move.

    ``in_time`` is whether this is an early boot, or the move of a running system was requested.
    ``mounter`` is the unit that would mount another store, which may be empty, on the new /nix.
    """
    if not in_time:
        reason = "the system is up already, or is not booting into multi-user.target"
        return Stay(unmoved.LATE, reason, "systemctl reboot")
    if mounter:
        reason = f"{mounter} would mount the store of another Nix on it"
        return Stay(unmoved.ANOTHER, reason, "sudo nix-aurora set-aside, and reboot")
    if not keeps_notes(topmost(mounts, "/etc"), is_writable=etc_is_writable):
        reason = "/etc cannot keep a note of boots that fail"
        return Stay(unmoved.ETC, reason, "findmnt --target /etc")
    if failed_boots >= BOOT_LIMIT:
        reason = f"the last {failed_boots} boots with /nix failed"
        return Stay(unmoved.FAILED_BOOTS, reason, "sudo nix-aurora mount enable, and reboot")
    if count(mounts, "/") > 1:  # the cleanup could not distinguish the old root from these
        reason = "more than one file system is mounted on /"
        return Stay(unmoved.STACKED, reason, "findmnt /")
    return None


def exhausted() -> Stay:
    """Return the decision for a host whose kinds of root have all failed or are refused."""
    hint = "sudo nix-aurora mount enable --again, and reboot"
    return Stay(unmoved.EXHAUSTED, "no kind of root directory is left to try", hint)


def is_early_boot(states: list[dict[str, str]]) -> bool:
    """Return whether systemd is about to bring up an ordinary boot, by the states of UNITS.

    This is not so in rescue and emergency mode, during an update of the system, and once it is up.
    """
    sysinit, multi_user = states
    starts = multi_user.get("Job", "0") != "0"
    return sysinit["ActiveState"] != "active" and starts


def keeps_notes(etc: Mount | None, *, is_writable: bool) -> bool:
    """Return whether a file in /etc outlives this boot; ``etc`` is the mount on /etc, if any."""
    if not is_writable:
        return False
    if etc is None:
        return True
    in_memory = etc.kind in {"tmpfs", "ramfs"}
    above_memory = etc.kind == "overlay" and "upperdir=/run/" in etc.options
    return not in_memory and not above_memory
