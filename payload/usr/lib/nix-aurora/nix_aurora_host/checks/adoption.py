"""Check for a takeover of another Nix's store that was interrupted, or waits for a reboot."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.text import printable

ADOPTION_UNFINISHED = Kind("adoption-unfinished", Severity.ERROR)
DISK_NOT_MOUNTED = Kind("disk-not-mounted", Severity.ERROR)


def check_adoption(facts: Facts) -> Iterator[Finding]:
    """Check that no takeover is unfinished: until it has ended, Nix cannot use either store."""
    if facts.adoption is not None:
        message = f"the takeover of {printable(facts.adoption)} was interrupted"
        fix = fixes.sudo("nix-aurora", "adopt", "--yes")
        yield found(ADOPTION_UNFINISHED, message, fix)


def check_disk(facts: Facts) -> Iterator[Finding]:
    """Check that the store's own disk is mounted, so that the directory shows the store."""
    # If the boot had waited for the disk in vain, the socket would not be started.
    if facts.disk is not None and fixes.unit(facts, paths.SOCKET).active == "active":
        message = (
            f"/etc/fstab mounts {printable(facts.disk)} on {paths.BASE}, and it is not mounted "
            "yet; if a reboot does not mount it, see journalctl -b -u var-lib-nix.mount"
        )
        yield found(DISK_NOT_MOUNTED, message, fixes.systemctl("reboot"))


CHECKS = (check_adoption, check_disk)
