"""Package, space, build users, import, database, roots and the default profile."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.facts import Facts
from nix_aurora_host.finding import Finding, Severity

_FULL = 64 << 20  # bytes: the import keeps half of it free
_SCARCE = 1 << 30
_DEVBOX = (2, 18)  # jetify-com/devbox: internal/nix/install.go


def check_archive(facts: Facts) -> Iterator[Finding]:
    """The closure is to be what the package says that it is."""
    archive, closure = facts.archive, facts.basics.closure
    if archive.is_of(closure):
        return
    unread = "none that can be read"
    if archive.registration_sha256 != closure.registration_sha256:
        path, got = paths.REGISTRATION, archive.registration_sha256 or unread
        wanted = f"SHA-256 {closure.registration_sha256}"
    else:
        path, got = paths.ARCHIVE, unread
        if archive.size != closure.archive_size and archive.sha256 is not None:
            got = f"{archive.size}"
        elif archive.sha256 is not None:
            got = f"SHA-256 {archive.sha256}"
        wanted = f"{closure.archive_size} bytes of SHA-256 {closure.archive_sha256}"
    message = f"{path}: expected {wanted}, got {got}"
    yield Finding("archive-corrupt", Severity.ERROR, message, fixes.reinstall(facts))


def check_space(facts: Facts) -> Iterator[Finding]:
    """Nix, and every upgrade of it, needs space."""
    store = facts.basics.store
    if store.free >= _SCARCE or store.free * 10 > store.size:
        return
    severity = Severity.ERROR if store.free < _FULL else Severity.WARNING
    free, size = store.free >> 20, store.size >> 20
    message = (
        f"{paths.BASE}: {free} MiB of {size} MiB are free. Where collecting garbage is not "
        "enough: sudo du -xh --max-depth=3 /var | sort -h | tail"
    )
    fix = "sudo nix-collect-garbage"
    if facts.basics.closure.nix in store.missing:  # there is no Nix yet that could collect
        fix = "sudo journalctl --vacuum-size=64M"
    yield Finding("space-full", severity, message, fix)


def check_users(facts: Facts) -> Iterator[Finding]:
    """Builds run as members of nixbld; any ids will do."""
    users = facts.basics.users
    fix = "sudo systemd-sysusers nix-aurora.conf && sudo systemd-tmpfiles --create nix-aurora.conf"
    if users.group is None:
        message = "the group nixbld is missing: Nix cannot build"
        yield Finding("nixbld-group-missing", Severity.ERROR, message, fix)
    elif users.absent:
        message = f"build users are missing, or not in nixbld: {', '.join(users.absent)}"
        yield Finding("nixbld-users-missing", Severity.ERROR, message, fix)
    elif facts.basics.store.group not in {None, users.group}:
        message = f"{paths.STORE} belongs to group {facts.basics.store.group}, not to nixbld"
        yield Finding("store-group", Severity.ERROR, message, fix)


def check_import(facts: Facts) -> Iterator[Finding]:
    """The packaged closure is to be in the store, registered and rooted."""
    store, closure = facts.basics.store, facts.basics.closure
    fix = fixes.cure_import(facts)
    if fixes.unit(facts, paths.SETUP).active == "activating":
        message = "the import is running: look again when it has ended"
        yield Finding("import-running", Severity.NOTE, message, f"journalctl -b -u {paths.SETUP}")
        return
    if closure.nix in store.missing:
        message = f"Nix {closure.version} has not been imported: {closure.nix} is missing"
        yield Finding("import-missing", Severity.ERROR, message, fix)
        return  # the rest comes with it
    if not store.database:
        message = (
            f"{paths.DATABASE} is gone: the import restores it from a copy, or makes a new one "
            "that knows the packaged Nix alone"
        )
        yield Finding("database-missing", Severity.ERROR, message, fix)
    elif store.missing or store.unregistered:
        absent, unknown = len(store.missing), len(store.unregistered)
        message = (
            f"of {len(closure.paths)} packaged store paths {absent} are missing and "
            f"{unknown} are unknown to the database"
        )
        yield Finding("closure-incomplete", Severity.ERROR, message, fix)
    elif store.valid_paths is None:
        message = f"{paths.DATABASE} cannot be read by this user: what it knows was not looked at"
        yield Finding("database-unread", Severity.NOTE, message, "sudo nix-aurora doctor")
    if not store.stamp_read:
        return  # check_aside says so
    if store.stamp is None:
        message = f"{paths.STAMP} is missing: the import has not come to its end"
        yield Finding("import-unfinished", Severity.ERROR, message, fix)
    elif store.stamp != closure.id:
        message = f"the last import was of another closure than the package's ({closure.version})"
        yield Finding("import-stale", Severity.ERROR, message, fix)


def check_roots(facts: Facts) -> Iterator[Finding]:
    """Without its roots a garbage collection deletes the packaged Nix."""
    store, closure = facts.basics.store, facts.basics.closure
    if closure.nix in store.missing:
        return
    for name, wanted in (("nix", closure.nix), ("cacert", closure.cacert)):
        if store.roots.get(name) != wanted:
            message = f"{paths.ROOTS}/{name} does not keep {wanted} from being collected"
            yield Finding(
                f"gcroot-missing:{name}", Severity.ERROR, message, fixes.cure_import(facts)
            )


def check_profile(facts: Facts) -> Iterator[Finding]:
    """The default profile is where devbox, and every login, looks for Nix."""
    store, profile = facts.basics.store, facts.basics.profile
    if facts.basics.closure.nix in store.missing or store.layout == "relocated":
        return
    fix = fixes.cure_import(facts)
    if not profile.exists:
        message = f"the default profile is gone: {paths.PROFILE}"
        yield Finding("profile-missing", Severity.ERROR, message, fix)
    elif profile.nix is None:
        message = f"the default profile has no Nix: {paths.PROFILE}/bin/nix"
        yield Finding("profile-without-nix", Severity.ERROR, message, fix)
    elif profile.owner == "imported":
        message = f"the default profile has a former Nix: {paths.store_name(profile.nix)}"
        yield Finding("profile-stale", Severity.WARNING, message, fix)


def check_devbox(facts: Facts) -> Iterator[Finding]:
    """What devbox needs, or it tries to install a Nix of its own, which fails here."""
    store, profile = facts.basics.store, facts.basics.profile
    if store.exists and not store.listable:
        message = f"{paths.STORE} cannot be read by users"
        fix = f"sudo chmod 1775 {paths.STORE}"
        yield Finding("store-unreadable", Severity.ERROR, message, fix)
    if profile.nix is None:
        return
    if not profile.script:
        message = f"devbox: {paths.PROFILE} has no etc/profile.d/nix-daemon.sh"
        yield Finding("devbox-script", Severity.WARNING, message, _replace_profile(facts))
    if profile.version is not None and profile.version < _DEVBOX:
        version = ".".join(map(str, profile.version))
        message = f"devbox: the default profile has Nix {version}: expected 2.18 or newer"
        yield Finding("devbox-version", Severity.WARNING, message, _replace_profile(facts))


def _replace_profile(facts: Facts) -> str:
    # Its generations stay, and so does the administrator's Nix in them.
    return f"sudo rm {paths.PROFILE} && {fixes.cure_import(facts)}"


def check_aside(facts: Facts) -> Iterator[Finding]:
    """What an import found damaged, store paths or a database, is kept, and takes space."""
    aside = facts.basics.store.aside
    if aside is None:
        message = f"{paths.OWN} is root's: what the last import left was not checked"
        yield Finding("aside-unread", Severity.NOTE, message, "sudo nix-aurora doctor")
    elif aside:
        message = (
            f"an import has replaced what was damaged, and keeps it in {paths.ASIDE}: {len(aside)}"
        )
        fix = f"sudo rm -rf --one-file-system {paths.ASIDE}"
        yield Finding("paths-set-aside", Severity.NOTE, message, fix)


CHECKS = (
    check_archive,
    check_space,
    check_users,
    check_import,
    check_roots,
    check_profile,
    check_devbox,
    check_aside,
)
