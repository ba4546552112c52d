"""nix-root.service, which moves the system onto a root directory with /nix."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.registry import found
from nix_aurora_host.facts import NOTHING, Facts
from nix_aurora_host.finding import Finding
from nix_aurora_host.pivot.facts import Unmoved
from nix_aurora_host.pivot.words import describe_failed, unsuitable

_NOW = fixes.sudo("nix-aurora", "mount", "enable", "--yes", "--now")


def check_pivot(facts: Facts) -> Iterator[Finding]:
    """Unless the settings forbid it, / has a /nix."""
    pivot = facts.basics.pivot
    if pivot.done and pivot.writable:
        message = "/ is writable, and what is written there is lost at the next boot"
        yield found("root-writable", message, fixes.systemctl("reboot"))
    if not pivot.enabled or pivot.done or pivot.own or pivot.writable:
        return
    if pivot.off:
        message = f"the kernel argument {paths.ROOT_OFF} keeps this boot without a /nix"
        yield found("mount-switched-off", message, fixes.systemctl("reboot"))
    elif pivot.stopped:
        # The kind that failed is not tried again: see nix-root.
        message = f"/ stays without a /nix made by {paths.ROOT}: {describe_failed(pivot)}"
        if pivot.exhausted:
            message += "; to try again nevertheless: sudo nix-aurora mount enable --again"
        fix = fixes.sudo("nix-aurora", "mount", "disable") if pivot.exhausted else _NOW
        yield found("mount-stopped", message, fix)
    elif reason := unsuitable(pivot):
        message = f"{paths.ROOT} does not make a /nix in /: {reason}"
        yield found("mount-unsuitable", message, fixes.sudo("nix-aurora", "mount", "disable"))
    elif pivot.unmoved is Unmoved.FAILED:
        message = f"{paths.ROOT} cannot make a /nix in /: see journalctl -b -u {paths.ROOT}"
        yield found("mount-failed", message, _NOW)
    elif facts.basics.store.nix == NOTHING:
        message = "/ has no /nix yet: the next boot creates one"
        yield found("mount-not-yet", message, _NOW)


CHECKS = (check_pivot,)
