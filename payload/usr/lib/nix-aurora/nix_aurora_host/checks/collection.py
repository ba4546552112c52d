"""Check the weekly collection of garbage, if the administrator has enabled it."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts

COLLECTION_FAILED = Kind("collection-failed", Severity.WARNING)


def check_collection(facts: Facts) -> Iterator[Finding]:
    """Check that the last collection succeeded."""
    if not facts.basics.garbage.failed:
        return
    message = (
        f"the last collection of garbage failed: see journalctl -u {paths.GC} -u {paths.GC_FULL}"
    )
    fix = fixes.chain(fixes.COLLECT, fixes.systemctl("reset-failed", paths.GC, paths.GC_FULL))
    yield found(COLLECTION_FAILED, message, fix)


CHECKS = (check_collection,)
