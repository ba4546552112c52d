"""What became of the root directory in this boot, in words for people."""

from collections.abc import Sequence

from nix_aurora_host import paths
from nix_aurora_host.pivot.facts import Pivot, Unmoved
from nix_aurora_host.text import printable

UNDO = "sudo nix-aurora mount disable, and reboot"
RETRY = "sudo nix-aurora mount enable, and reboot"
RETRY_ALL = "sudo nix-aurora mount enable --again, and reboot"
_KINDS = {
    "overlay": "a read-only overlay of the image",
    "binds": "a read-only directory of bind mounts",
}
_ETC = "/etc cannot keep a note of boots that fail: it is read-only, or lost at each reboot"
_STACKED = "more than one file system is mounted on /"


def explain(pivot: Pivot) -> tuple[str, ...]:
    """Return what became of it in this boot, and how to change that: one clause or two."""
    if pivot.done:
        kind = _KINDS.get(pivot.done, printable(pivot.done))
        return f"/ is {kind}, with /nix, made by {paths.ROOT}", f"to undo this: {UNDO}"
    if reason := needless(pivot):
        return (reason,)
    if not pivot.enabled:
        asked = f"the root directory has no /nix, as {paths.SETTINGS} asks"
        return asked, f"to have one: {RETRY}"
    if pivot.off:
        return (f"no /nix in this boot: the kernel argument {paths.ROOT_OFF} forbids it",)
    return _explain_unmoved(pivot)


def _explain_unmoved(pivot: Pivot) -> tuple[str, ...]:
    if pivot.stopped:
        again = RETRY_ALL if pivot.exhausted else RETRY
        return f"no /nix: {describe_failed(pivot)}", f"to try again: {again}"
    if reason := unsuitable(pivot):
        return (f"no /nix: {reason}",)
    if pivot.unmoved is Unmoved.FAILED:
        return f"no /nix: {paths.ROOT} failed", f"to see why: journalctl -b -u {paths.ROOT}"
    return "no /nix yet: the next boot creates it", "systemctl reboot"


def describe_failed(pivot: Pivot) -> str:
    """Return which boots failed, where failed boots keep the system from moving."""
    if not pivot.failed:
        return "each kind of root directory that has it failed with this kernel"
    kinds = ", ".join(dict.fromkeys(printable(boot.kind) for boot in pivot.failed))
    kernels = ", ".join(dict.fromkeys(printable(boot.kernel) for boot in pivot.failed))
    count = len(pivot.failed)
    return f"the last {count} boots with it failed (kind {kinds}, kernel {kernels})"


def unsuitable(pivot: Pivot) -> str | None:
    """Return why nix-root does not move this host, if the host is the reason."""
    if pivot.unmoved is Unmoved.ETC:
        return _ETC
    return _STACKED if pivot.unmoved is Unmoved.STACKED else None


def needless(pivot: Pivot) -> str | None:
    """Return why the root directory needs nothing of ours to have a /nix, if so."""
    if pivot.done:
        return None
    if pivot.own:
        return "the root directory has its own /nix"
    return "/ is writable, and every boot creates /nix" if pivot.writable else None


def listed(units: Sequence[str]) -> str:
    """Return the names of units, fit for a terminal."""
    return ", ".join(printable(unit) for unit in units)
