"""Check the space for the store. Without it, the import fails, and its unit."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts

SPACE_FULL = Kind("space-full", Severity.ERROR)
SPACE_SCARCE = Kind("space-scarce", Severity.WARNING)

_FULL = 64 << 20  # bytes: the import keeps half of it free
_SCARCE = 1 << 30


def check_space(facts: Facts) -> Iterator[Finding]:
    """Check that there is space for Nix and its next upgrade."""
    store = facts.basics.store
    if store.free >= _SCARCE or store.free * 10 > store.size:
        return
    free, size = store.free >> 20, store.size >> 20
    message = (
        f"{paths.BASE} has {free} MiB free of {size} MiB. Where collecting garbage is not "
        "enough: sudo du -xh --max-depth=3 /var | sort -h | tail"
    )
    fix = fixes.COLLECT
    if facts.basics.closure.nix in store.missing:  # without Nix, nothing can collect garbage
        fix = fixes.sudo("journalctl", "--vacuum-size=64M")
    yield found(SPACE_FULL if store.free < _FULL else SPACE_SCARCE, message, fix)


CHECKS = (check_space,)
