"""Check nix-root.service, which switches the system to a root directory with /nix."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.former.mounter import is_mounter
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.gather.store import AtNix
from nix_aurora_host.nix_root.facts import Unmoved
from nix_aurora_host.nix_root.words import describe_failed, unsuitable

NIX_ROOT_WRITABLE = Kind("nix-root-writable", Severity.NOTE)
NIX_ROOT_SWITCHED_OFF = Kind("nix-root-switched-off", Severity.NOTE)
NIX_ROOT_STOPPED = Kind("nix-root-stopped", Severity.ERROR)
NIX_ROOT_UNSUITABLE = Kind("nix-root-unsuitable", Severity.NOTE)
NIX_ROOT_FAILED = Kind("nix-root-failed", Severity.ERROR)
NIX_ROOT_NOT_YET = Kind("nix-root-not-yet", Severity.WARNING)

_NOW = fixes.sudo("nix-aurora", "mount", "enable", "--yes", "--now")


def check_nix_root(facts: Facts) -> Iterator[Finding]:
    """Check that the root directory contains /nix, unless the settings forbid it."""
    nix_root = facts.basics.nix_root
    if nix_root.done and nix_root.writable:
        message = "/ is writable, and what is written there is lost at the next boot"
        yield found(NIX_ROOT_WRITABLE, message, fixes.systemctl("reboot"))
    if not nix_root.enabled or nix_root.done or nix_root.own or nix_root.writable:
        return
    if nix_root.off:
        message = f"this boot has no /nix, because of the kernel argument {paths.ROOT_OFF}"
        yield found(NIX_ROOT_SWITCHED_OFF, message, fixes.systemctl("reboot"))
    elif nix_root.stopped:
        # nix-root does not retry the kind that failed.
        message = f"{paths.ROOT} no longer adds /nix to /: {describe_failed(nix_root)}"
        if nix_root.exhausted:
            message += "; to try again nevertheless: sudo nix-aurora mount enable --again"
        fix = fixes.sudo("nix-aurora", "mount", "disable") if nix_root.exhausted else _NOW
        yield found(NIX_ROOT_STOPPED, message, fix)
    elif reason := unsuitable(nix_root):
        message = f"{paths.ROOT} does not make a /nix in /: {reason}"
        yield found(NIX_ROOT_UNSUITABLE, message, fixes.sudo("nix-aurora", "mount", "disable"))
    elif nix_root.unmoved is Unmoved.FAILED:
        message = f"{paths.ROOT} cannot make a /nix in /: see journalctl -b -u {paths.ROOT}"
        yield found(NIX_ROOT_FAILED, message, _NOW)
    elif any(map(is_mounter, facts.basics.former.traces)):
        return  # nix-root waits until that is set aside
    elif facts.basics.store.nix == AtNix.NOTHING:
        message = "/ has no /nix yet: the next boot creates one"
        yield found(NIX_ROOT_NOT_YET, message, _NOW)


CHECKS = (check_nix_root,)
