"""Layered packages, where they keep the host or the package from being upgraded."""

from collections.abc import Iterator

from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.gather.upgrades import Way

LAYERING_LOCKED = Kind("layering-locked", Severity.NOTE)
LAYERED = Kind("layered", Severity.NOTE)
LAYERED_FILES = Kind("layered-files", Severity.NOTE)


def check_layering(facts: Facts) -> Iterator[Finding]:
    """A layered package has consequences that nothing tells before an upgrade fails."""
    upgrades = facts.basics.upgrades
    if not upgrades.layered:
        return
    if upgrades.locked:
        message = (
            "rpm-ostree refuses every upgrade of this host: /etc/rpm-ostreed.conf has "
            "LockLayering=true, and nix-aurora is layered; take it from an image of your own"
        )
        yield found(LAYERING_LOCKED, message, None)
        return
    if upgrades.container:
        message = (
            "bootc upgrade refuses hosts with layered packages, and nix-aurora is one; "
            "rpm-ostree upgrade upgrades this host"
        )
        yield found(LAYERED, message, None)
    if upgrades.way == Way.FILES:
        message = (
            "rpm-ostree upgrade does not upgrade nix-aurora, which was layered from files; "
            "nix-aurora status shows the command that does"
        )
        yield found(LAYERED_FILES, message, None)


CHECKS = (check_layering,)
