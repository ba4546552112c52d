"""nix-root.service, which moves the system onto a root directory with /nix."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.registry import found
from nix_aurora_host.facts import Facts
from nix_aurora_host.finding import Finding

_AGAIN = fixes.sudo("nix-aurora", "mount", "enable", "--yes", "--now")


def check_pivot(facts: Facts) -> Iterator[Finding]:
    """Where it is enabled, / is to have a /nix."""
    pivot = facts.basics.pivot
    if not pivot.enabled or pivot.done:
        return
    if pivot.stopped:
        message = f"the last boot with a /nix made by {paths.ROOT} failed: / stays without it"
        yield found("mount-stopped", message, _AGAIN)
    elif pivot.off:
        message = f"the kernel argument {paths.ROOT_OFF} keeps this boot without a /nix"
        yield found("mount-switched-off", message, fixes.systemctl("reboot"))
    elif pivot.failed:
        message = f"{paths.ROOT} cannot make a /nix in /: see journalctl -b -u {paths.ROOT}"
        yield found("mount-failed", message, _AGAIN)
    elif not facts.host.root_writable and facts.basics.store.layout == "namespace":
        message = "nix-aurora mount is enabled, and applies from the next boot on"
        yield found("mount-not-yet", message, _AGAIN)


CHECKS = (check_pivot,)
