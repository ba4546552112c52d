"""nix-root.service, which moves the system onto a root directory with /nix."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.registry import found
from nix_aurora_host.finding import Finding
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.gather.store import AtNix
from nix_aurora_host.nix_root.facts import Unmoved
from nix_aurora_host.nix_root.words import describe_failed, unsuitable

_NOW = fixes.sudo("nix-aurora", "mount", "enable", "--yes", "--now")


def check_nix_root(facts: Facts) -> Iterator[Finding]:
    """Unless the settings forbid it, / has a /nix."""
    nix_root = facts.basics.nix_root
    if nix_root.done and nix_root.writable:
        message = "/ is writable, and what is written there is lost at the next boot"
        yield found("nix-root-writable", message, fixes.systemctl("reboot"))
    if not nix_root.enabled or nix_root.done or nix_root.own or nix_root.writable:
        return
    if nix_root.off:
        message = f"the kernel argument {paths.ROOT_OFF} keeps this boot without a /nix"
        yield found("nix-root-switched-off", message, fixes.systemctl("reboot"))
    elif nix_root.stopped:
        # The kind that failed is not tried again: see nix-root.
        message = f"/ stays without a /nix made by {paths.ROOT}: {describe_failed(nix_root)}"
        if nix_root.exhausted:
            message += "; to try again nevertheless: sudo nix-aurora mount enable --again"
        fix = fixes.sudo("nix-aurora", "mount", "disable") if nix_root.exhausted else _NOW
        yield found("nix-root-stopped", message, fix)
    elif reason := unsuitable(nix_root):
        message = f"{paths.ROOT} does not make a /nix in /: {reason}"
        yield found("nix-root-unsuitable", message, fixes.sudo("nix-aurora", "mount", "disable"))
    elif nix_root.unmoved is Unmoved.FAILED:
        message = f"{paths.ROOT} cannot make a /nix in /: see journalctl -b -u {paths.ROOT}"
        yield found("nix-root-failed", message, _NOW)
    elif facts.basics.store.nix == AtNix.NOTHING:
        message = "/ has no /nix yet: the next boot creates one"
        yield found("nix-root-not-yet", message, _NOW)


CHECKS = (check_nix_root,)
