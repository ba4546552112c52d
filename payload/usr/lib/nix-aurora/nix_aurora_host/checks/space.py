"""Check that the store's file system has free space and free inodes."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.gather.store import Store

SPACE_FULL = Kind("space-full", Severity.ERROR)
SPACE_SCARCE = Kind("space-scarce", Severity.WARNING)
INODES_SCARCE = Kind("inodes-scarce", Severity.WARNING)

_FULL = 64 << 20  # bytes: the import keeps half of it free
_SCARCE = 1 << 30
_FEW_INODES = 50_000  # nixpkgs alone has tens of thousands of files


def check_space(facts: Facts) -> Iterator[Finding]:
    """Check that there is space for Nix and its next upgrade."""
    store = facts.basics.store
    if not _is_scarce(store):
        return
    free, size = store.free >> 20, store.size >> 20
    message = (
        f"{paths.BASE} has {free} MiB free of {size} MiB. If collecting garbage is not "
        "enough: sudo du -xh --max-depth=3 /var | sort -h | tail"
    )
    fix = fixes.COLLECT
    if facts.basics.closure.nix in store.missing:  # without Nix, nothing can collect garbage
        fix = fixes.sudo("journalctl", "--vacuum-size=64M")
    yield found(SPACE_FULL if store.free < _FULL else SPACE_SCARCE, message, fix)


def check_inodes(facts: Facts) -> Iterator[Finding]:
    """Check that files can still be created, where a file system limits their number."""
    store = facts.basics.store
    if not store.inodes or store.inodes_free >= _FEW_INODES:
        return
    # XFS makes inodes from free space, so a full disk has few of them, too.
    if store.inodes_free * 10 > store.inodes or _is_scarce(store):
        return
    message = (
        f"{paths.BASE} has {store.inodes_free} of {store.inodes} inodes free: new files soon fail "
        "with No space left on device. If collecting garbage fails or is not enough, look for "
        "other files to delete: sudo du -x --inodes --max-depth=3 /var | sort -n | tail"
    )
    fix = fixes.COLLECT
    if facts.basics.closure.nix in store.missing:  # the journal has too few files to help
        fix = fixes.sudo("systemd-tmpfiles", "--clean")
    yield found(INODES_SCARCE, message, fix)


def _is_scarce(store: Store) -> bool:
    return store.free < _SCARCE and store.free * 10 <= store.size


CHECKS = (check_space, check_inodes)
