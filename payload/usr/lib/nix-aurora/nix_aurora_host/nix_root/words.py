"""Describe the root directory of this boot in words for people."""

from collections.abc import Sequence

from nix_aurora_host import paths
from nix_aurora_host.nix_root.facts import NixRoot, Unmoved
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


def explain(nix_root: NixRoot) -> tuple[str, ...]:
    """Return the state in this boot, and how to change it: one clause or two."""
    if nix_root.done:
        kind = _KINDS.get(nix_root.done, printable(nix_root.done))
        return f"/ is {kind}, with /nix, made by {paths.ROOT}", f"to undo this: {UNDO}"
    if reason := needless(nix_root):
        return (reason,)
    if not nix_root.enabled:
        asked = f"the root directory has no /nix, because {paths.SETTINGS} disables it"
        return asked, f"to enable it: {RETRY}"
    if nix_root.off:
        return (f"no /nix in this boot: the kernel argument {paths.ROOT_OFF} forbids it",)
    return _explain_unmoved(nix_root)


def _explain_unmoved(nix_root: NixRoot) -> tuple[str, ...]:
    if nix_root.stopped:
        again = RETRY_ALL if nix_root.exhausted else RETRY
        return f"no /nix: {describe_failed(nix_root)}", f"to try again: {again}"
    if reason := unsuitable(nix_root):
        return (f"no /nix: {reason}",)
    if nix_root.unmoved is Unmoved.FAILED:
        return f"no /nix: {paths.ROOT} failed", f"to see why: journalctl -b -u {paths.ROOT}"
    if nix_root.unmoved is Unmoved.ANOTHER:
        another = "no /nix: another Nix would have mounted its store on it in this boot"
        return another, "to set that aside: sudo nix-aurora set-aside, and reboot"
    return "no /nix yet: the next boot creates it", "systemctl reboot"


def describe_failed(nix_root: NixRoot) -> str:
    """Return which boots failed, if failed boots keep the system from moving."""
    if not nix_root.failed:
        return "boots with each kind of root directory failed with this kernel"
    kinds = ", ".join(dict.fromkeys(printable(boot.kind) for boot in nix_root.failed))
    kernels = ", ".join(dict.fromkeys(printable(boot.kernel) for boot in nix_root.failed))
    count = len(nix_root.failed)
    return f"the last {count} boots with /nix failed (kind {kinds}, kernel {kernels})"


def unsuitable(nix_root: NixRoot) -> str | None:
    """Return why nix-root does not move this host, if the host is the reason."""
    if nix_root.unmoved is Unmoved.ETC:
        return _ETC
    return _STACKED if nix_root.unmoved is Unmoved.STACKED else None


def needless(nix_root: NixRoot) -> str | None:
    """Return why the root directory needs nothing of ours to have a /nix, if so."""
    if nix_root.done:
        return None
    if nix_root.own:
        return "the root directory has its own /nix"
    return "/ is writable, and every boot creates /nix" if nix_root.writable else None


def listed(units: Sequence[str]) -> str:
    """Return the names of units, safe for a terminal."""
    return ", ".join(printable(unit) for unit in units)
