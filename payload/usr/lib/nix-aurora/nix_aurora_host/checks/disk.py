"""What /var/lib/nix lies on: a disk or subvolume of its own, or a link."""

from collections.abc import Iterator

from nix_aurora_host import base_mount, paths
from nix_aurora_host.adopt import fstab
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.move.places import BEFORE
from nix_aurora_host.text import printable

DISK_MISSING = Kind("disk-missing", Severity.ERROR)
DISK_READ_ONLY = Kind("disk-read-only", Severity.ERROR)
STORE_LINK = Kind("store-link", Severity.WARNING)
LINK_TO_UNLISTED = Kind("store-link-to-unlisted-disk", Severity.NOTE)
DISK_UNSUMMED = Kind("disk-without-checksums", Severity.NOTE)
MOVE_UNFINISHED = Kind("move-unfinished", Severity.NOTE)
STORE_BEFORE_MOVE = Kind("store-before-move", Severity.NOTE)


def check_missing(facts: Facts) -> Iterator[Finding]:
    """Report a missing disk: the directory below its mount point is not the store."""
    if facts.basics.disk.missing:
        message = (
            f"the file system that belongs on {paths.BASE} is not mounted: no nix command works, "
            f"and nothing is imported until it is. See systemctl status {base_mount.UNIT}"
        )
        steps = [fixes.sudo(*words) for words in base_mount.start_commands()]
        yield found(DISK_MISSING, message, fixes.chain(*steps))


def is_read_only(facts: Facts) -> bool:
    """Return whether a file system of the store's own is mounted read-only."""
    return facts.basics.disk.mounted and facts.basics.disk.read_only


def check_read_only(facts: Facts) -> Iterator[Finding]:
    """Report a read-only mount, by its options or because the kernel found errors of the disk."""
    if not is_read_only(facts):
        return
    message = (
        f"{paths.BASE} is mounted read-only: Nix can neither build nor install. If /etc/fstab has "
        "the option ro, remove it there; if the disk has errors, see journalctl -k"
    )
    steps = [fixes.sudo("mount", "-o", "remount,rw", paths.BASE)]
    if facts.basics.store.read_only:
        steps.append(fixes.sudo("mount", "-o", "remount,bind,rw", paths.AT))
    yield found(DISK_READ_ONLY, message, fixes.chain(*steps))


def check_link(facts: Facts) -> Iterator[Finding]:
    """Report a store behind a link: it has other labels, and no boot waits for its disk."""
    target = facts.basics.disk.link
    if target is None:
        return
    message = (
        f"{paths.BASE} is a link to {printable(target)}: boots do not wait for its disk, SELinux "
        "labels the store by the path that the link leads to, and purge refuses to run. Replace "
        "the link with a bind mount"
    )
    if not facts.basics.disk.lasting:
        # systemd makes what a bind mount is to show, where it is missing: an empty store.
        message += f"; before that, add a line for the disk to {fstab.FILE}, which has none"
        yield found(LINK_TO_UNLISTED, message, None)
        return
    line = fstab.new_line(target, "none", ("bind", "nofail")).decode(errors="surrogateescape")
    fix = fixes.chain(
        fixes.append_as_root(line, fstab.FILE),
        fixes.sudo("rm", paths.BASE),
        fixes.sudo("mkdir", "-m", "0755", paths.BASE),
        fixes.systemctl("daemon-reload"),  # it follows a link that a line of fstab names
        fixes.systemctl("start", base_mount.UNIT),
    )
    yield found(STORE_LINK, message, fix)


def check_checksums(facts: Facts) -> Iterator[Finding]:
    """Btrfs keeps no checksums of files that it does not copy on write: btrfs(5)."""
    disk = facts.basics.disk
    lost = (
        "have neither checksums nor compression; only nix-store --verify --check-contents finds "
        "damage"
    )
    if disk.unsummed is not None:
        message = f"{paths.BASE} is on a btrfs with the mount option {disk.unsummed}: files {lost}"
        yield found(DISK_UNSUMMED, message, None)
    elif disk.nocow:
        message = f"chattr +C is set on {' and '.join(disk.nocow)}: new files there {lost}"
        yield found(DISK_UNSUMMED, message, fixes.sudo("chattr", "-C", *disk.nocow))


def check_before(facts: Facts) -> Iterator[Finding]:
    """Report the store from before a move, and a move that was killed."""
    if facts.basics.disk.unfinished:
        message = (
            "a move was interrupted after the copy was mounted: the former store is still below "
            "the mount"
        )
        fix = fixes.sudo("nix-aurora", "move", "--yes", paths.BASE)
        yield found(MOVE_UNFINISHED, message, fix)
    elif facts.basics.disk.before:
        message = f"{BEFORE} is the store from before a move, and takes space"
        fix = fixes.sudo("rm", "-r", "--one-file-system", BEFORE)
        yield found(STORE_BEFORE_MOVE, message, fix)


CHECKS = (check_missing, check_read_only, check_link, check_checksums, check_before)
