"""Check whether layering prevents upgrades of the host or the package."""

from collections.abc import Iterator

from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.gather.upgrades import Way

LAYERING_LOCKED = Kind("layering-locked", Severity.NOTE)
LAYERED = Kind("layered", Severity.NOTE)
LAYERED_FILES = Kind("layered-files", Severity.NOTE)


def check_layering(facts: Facts) -> Iterator[Finding]:
    """Describe the effect of layering on upgrades before one fails."""
    upgrades = facts.basics.upgrades
    if not upgrades.layered:
        return
    if upgrades.locked:
        message = (
            "nix-aurora is layered, and /etc/rpm-ostreed.conf has LockLayering=true: rpm-ostree "
            "refuses every upgrade of this host; use an image of your own"
        )
        yield found(LAYERING_LOCKED, message, None)
        return
    if upgrades.container:
        message = (
            "nix-aurora is layered, and bootc upgrade refuses hosts with layered packages; use "
            "rpm-ostree upgrade"
        )
        yield found(LAYERED, message, None)
    if upgrades.way == Way.FILES:
        message = (
            "nix-aurora is layered from files, which rpm-ostree upgrade does not upgrade; "
            "nix-aurora status shows the command that does"
        )
        yield found(LAYERED_FILES, message, None)


CHECKS = (check_layering,)
