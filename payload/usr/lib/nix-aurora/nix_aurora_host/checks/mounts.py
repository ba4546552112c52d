"""Check that /nix is the store, and that programs start from it."""

from collections.abc import Iterator, Mapping

from nix_aurora_host import layouts, paths
from nix_aurora_host.checks import disk, fixes, settings_file
from nix_aurora_host.checks.fixes import Fix
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.former.mounter import is_mounter
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.gather.store import AtNix
from nix_aurora_host.text import printable

NIX_READ_ONLY = Kind("nix-read-only", Severity.ERROR)
NIX_FOREIGN_MOUNT = Kind("nix-foreign-mount", Severity.ERROR)
NIX_FOREIGN_STORE = Kind("nix-foreign-store", Severity.ERROR)
NIX_LINK = Kind("nix-link", Severity.ERROR)
NIX_NOT_MOUNTED = Kind("nix-not-mounted", Severity.ERROR)
LAYOUT_NAMESPACE = Kind("layout-namespace", Severity.WARNING)
NIX_DIRECTORY_MISSING = Kind("nix-directory-missing", Severity.NOTE)
LAYOUT_RELOCATED = Kind("layout-relocated", Severity.NOTE)
STORE_NOT_MOUNTED = Kind("store-not-mounted", Severity.ERROR)
STORE_NOEXEC = Kind("store-noexec", Severity.ERROR)

_ASIDE = fixes.sudo(*fixes.put_aside("/nix"))
# The mount points that can contain or show the store: a fix names no others.
_MOUNT_POINTS = ("/", "/var", "/var/lib", paths.BASE, "/nix", paths.PREFIX)


def check_mount(facts: Facts) -> Iterator[Finding]:
    """Check that /nix is the store on every host with a root directory that can contain /nix."""
    layout = layouts.read_layout(facts.basics.store.layout)
    if layouts.is_relocated(layout):
        yield from _check_relocated(facts, layout)
        return
    kind, unit = facts.basics.store.nix, fixes.unit(facts, paths.MOUNT)
    if facts.basics.store.read_only and not disk.is_read_only(facts):
        message = "/nix is mounted read-only: Nix can neither build nor install"
        fix = fixes.sudo("mount", "-o", "remount,bind,rw", "/nix")
        yield found(NIX_READ_ONLY, message, fix)
    if kind == AtNix.OURS or unit.masked or unit.active == "failed":
        return
    if kind in {AtNix.NOTHING, AtNix.LINK} and not facts.host.root_writable:
        yield from _check_namespace(facts)
        return
    start = fixes.systemctl("restart", paths.LAYOUT, paths.MOUNT)
    if kind == AtNix.OTHER_MOUNT:
        trace = facts.basics.former.at("/nix")
        effect = printable(trace.effect) if trace else "it is not the store"
        message = f"something else is mounted on /nix: {effect}"
        yield found(NIX_FOREIGN_MOUNT, message, fixes.set_aside(facts, trace))
    elif kind == AtNix.OTHER_STORE:
        message = "/nix has files of another Nix, and nothing is mounted over them"
        yield found(NIX_FOREIGN_STORE, message, fixes.chain(*_make_room(facts), start))
    elif kind == AtNix.LINK:
        message = "/nix is a link, which Nix refuses"
        yield found(NIX_LINK, message, fixes.chain(_ASIDE, start))
    elif any(map(is_mounter, facts.basics.former.traces)):
        return  # the unit would mount the other store, which has a finding of its own
    elif facts.basics.store.layout == "mount" or kind == AtNix.NOTHING:
        message = "/nix is not the store: programs from it do not start"
        yield found(NIX_NOT_MOUNTED, message, start)
    else:
        message = f"{paths.SETTINGS} asks for the namespace layout: programs see no /nix"
        yield found(
            LAYOUT_NAMESPACE, message, fixes.chain(*settings_file.ask_for_auto(facts), start)
        )


def _make_room(facts: Facts) -> list[Fix]:
    """Return the first steps of a fix: move the content of /nix away, or let the store hide it.

    Content that is part of an image cannot be moved.
    """
    return [_ASIDE] if facts.host.root_writable else settings_file.ask_for_mount(facts)


def _check_namespace(facts: Facts) -> Iterator[Finding]:
    if facts.basics.nix_root.enabled and facts.basics.store.nix == AtNix.NOTHING:
        return  # nix-root.service is the cause, and has findings of its own
    message = (
        "the root directory has no /nix: nix commands work, but programs of a profile start only "
        "inside nix-aurora shell, where sudo does not work"
    )
    yield found(NIX_DIRECTORY_MISSING, message, fixes.sudo("nix-aurora", "mount", "enable"))


def _check_relocated(facts: Facts, layout: Mapping[str, str]) -> Iterator[Finding]:
    unit = fixes.unit(facts, layout["mount"])
    if facts.basics.store.nix == AtNix.OURS:
        message = (
            f"{paths.SETTINGS} sets the {layout['layout']} layout: Nix cannot use binary caches "
            "for /nix/store and builds everything from source, and devbox does not work"
        )
        fix = fixes.chain(*settings_file.ask_for_auto(facts), fixes.systemctl("reboot"))
        yield found(LAYOUT_RELOCATED, message, fix)
    elif not unit.masked and unit.active != "failed":
        message = f"{layout['store']} is not the store: no nix command works"
        fix = fixes.systemctl("restart", paths.LAYOUT, layout["mount"])
        yield found(STORE_NOT_MOUNTED, message, fix)


def check_noexec(facts: Facts) -> Iterator[Finding]:
    """Check for noexec, which administrators and hardening guides set for /var."""
    points = [point for point in facts.basics.store.noexec if point in _MOUNT_POINTS]
    if not points:
        return
    message = (
        f"mounted with noexec: {' and '.join(points)}: programs of the store do not start. If "
        "/etc/fstab or a mount unit sets noexec, remove it there, too"
    )
    remount = [fixes.sudo("mount", "-o", "remount,bind,exec", point) for point in points]
    setup = fixes.systemctl("restart", paths.SETUP)
    yield found(STORE_NOEXEC, message, fixes.chain(*remount, setup, fixes.restart_daemon()))


CHECKS = (check_mount, check_noexec)
