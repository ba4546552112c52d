"""Check the package, build users, the import, the database and roots."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.text import printable

PACKAGE_DAMAGED = Kind("package-damaged", Severity.ERROR)
PACKAGE_CORRUPT = Kind("package-corrupt", Severity.ERROR)
NIXBLD_GROUP_MISSING = Kind("nixbld-group-missing", Severity.ERROR)
NIXBLD_USERS_MISSING = Kind("nixbld-users-missing", Severity.ERROR)
STORE_GROUP = Kind("store-group", Severity.ERROR)
IMPORT_RUNNING = Kind("import-running", Severity.NOTE)
IMPORT_MISSING = Kind("import-missing", Severity.ERROR)
DATABASE_MISSING = Kind("database-missing", Severity.ERROR)
CLOSURE_INCOMPLETE = Kind("closure-incomplete", Severity.ERROR)
CLOSURE_DAMAGED = Kind("closure-damaged", Severity.ERROR)
DATABASE_UNREAD = Kind("database-unread", Severity.NOTE)
IMPORT_UNREAD = Kind("import-unread", Severity.NOTE)
IMPORT_UNFINISHED = Kind("import-unfinished", Severity.ERROR)
IMPORT_STALE = Kind("import-stale", Severity.ERROR)
GCROOT_MISSING = Kind("gcroot-missing", Severity.ERROR)
ASIDE_UNREAD = Kind("aside-unread", Severity.NOTE)
PATHS_SET_ASIDE = Kind("paths-set-aside", Severity.NOTE)


def check_package(facts: Facts) -> Iterator[Finding]:
    """Check that the package's own files match closure.json."""
    packaged, closure = facts.packaged, facts.basics.closure
    if not packaged.described:
        message = f"{paths.DESCRIPTION} is damaged: expected closure {closure.id}, got another"
        yield found(PACKAGE_DAMAGED, message, fixes.reinstall(facts))
    elif packaged.differing:
        message = (
            f"{paths.ENVIRONMENT} is damaged: {', '.join(packaged.differing)}: "
            "expected what closure.json says, got something else"
        )
        yield found(PACKAGE_DAMAGED, message, fixes.reinstall(facts))
    elif packaged.damaged:
        count, (name, why) = len(packaged.damaged), next(iter(packaged.damaged.items()))
        message = (
            f"{paths.PACKAGED_STORE}: {count} of {len(closure.paths)} store paths are damaged: "
            f"{printable(paths.store_name(name))}: {printable(why)}"
        )
        yield found(PACKAGE_CORRUPT, message, fixes.reinstall(facts))
    elif packaged.foreign:
        message = (
            f"{paths.PACKAGED_STORE} has {len(packaged.foreign)} files that are not the package's: "
            f"{printable(packaged.foreign[0])}"
        )
        yield found(PACKAGE_CORRUPT, message, fixes.reinstall(facts))


def check_users(facts: Facts) -> Iterator[Finding]:
    """Check that nixbld has members, as which builds run; their ids do not matter."""
    users, group = facts.basics.users, facts.basics.store.group
    fix = fixes.chain(
        fixes.sudo("systemd-sysusers", "nix-aurora.conf"),
        fixes.sudo("systemd-tmpfiles", "--create", "nix-aurora.conf"),
    )
    if users.group is None:
        yield found(NIXBLD_GROUP_MISSING, "the group nixbld is missing: Nix cannot build", fix)
    elif users.absent:
        message = f"build users are missing, or not in nixbld: {', '.join(users.absent)}"
        yield found(NIXBLD_USERS_MISSING, message, fix)
    elif group not in {None, users.group}:
        message = f"{paths.STORE}: expected the group nixbld ({users.group}), got {group}"
        yield found(STORE_GROUP, message, fix)


def check_import(facts: Facts) -> Iterator[Finding]:
    """Check that the packaged closure is in the store, registered, whole and rooted."""
    if fixes.unit(facts, paths.SETUP).active == "activating":
        message = "the import is running: look again when it has ended"
        yield found(IMPORT_RUNNING, message, fixes.command("journalctl", "-b", "-u", paths.SETUP))
        return
    store, closure = facts.basics.store, facts.basics.closure
    if closure.nix in store.missing:
        version = printable(closure.version)
        message = f"Nix {version} has not been imported: {printable(closure.nix)} is missing"
        yield found(IMPORT_MISSING, message, fixes.cure_import(facts))
        return  # the import also cures the rest
    yield from _check_content(facts)
    yield from _check_stamp(facts)


def _check_content(facts: Facts) -> Iterator[Finding]:
    store, closure = facts.basics.store, facts.basics.closure
    fix = fixes.cure_import(facts)
    if not store.database:
        message = (
            f"{paths.DATABASE} is missing: the import restores it from a copy, or creates a new "
            "one that contains only the packaged Nix"
        )
        yield found(DATABASE_MISSING, message, fix)
    elif store.missing or store.unregistered:
        absent, unknown = len(store.missing), len(store.unregistered)
        message = (
            f"of {len(closure.paths)} packaged store paths {absent} are missing and "
            f"{unknown} are unknown to the database"
        )
        yield found(CLOSURE_INCOMPLETE, message, fix)
    elif facts.damaged or not (facts.settings.starts or store.noexec):
        message = "the packaged Nix does not start"
        if facts.damaged:
            names = ", ".join(paths.store_name(path) for path in facts.damaged[:3])
            more = f" and {len(facts.damaged) - 3} more" if len(facts.damaged) > 3 else ""
            message = f"the content of {printable(names)}{more} does not match the database"
        # On btrfs both copies share their blocks: if the package's copy is damaged too, restore it
        # first.
        cure = fixes.chain(fix, fixes.restart_daemon())
        if not facts.packaged.whole:
            cure = fixes.chain(fixes.ask_for_import(), fix)
        yield found(CLOSURE_DAMAGED, message, cure)
    elif store.valid_paths is None:
        message = f"{paths.DATABASE} was not checked: this user cannot read it"
        yield found(DATABASE_UNREAD, message, fixes.LOOK_AS_ROOT)


def _check_stamp(facts: Facts) -> Iterator[Finding]:
    store, closure = facts.basics.store, facts.basics.closure
    fix = fixes.cure_import(facts)
    if not store.stamp_read:
        message = f"{paths.STAMP} was not checked: only root can read it"
        yield found(IMPORT_UNREAD, message, fixes.LOOK_AS_ROOT)
    elif store.stamp is None:
        message = f"{paths.STAMP} is missing: the import did not finish"
        yield found(IMPORT_UNFINISHED, message, fix)
    elif store.stamp != closure.id:
        version = printable(closure.version)
        message = f"the installed package (Nix {version}) differs from the last imported one"
        yield found(IMPORT_STALE, message, fix)


def check_roots(facts: Facts) -> Iterator[Finding]:
    """Check the roots, without which a garbage collection deletes the packaged Nix."""
    store, closure = facts.basics.store, facts.basics.closure
    if closure.nix in store.missing:
        return
    for name, wanted in (("nix", closure.nix), ("cacert", closure.cacert)):
        if store.roots.get(name) != wanted:
            path = printable(wanted)
            message = f"{paths.ROOTS}/{name} does not protect {path} from garbage collection"
            yield found(GCROOT_MISSING, message, fixes.cure_import(facts), name)


def check_aside(facts: Facts) -> Iterator[Finding]:
    """Report what an import found damaged, or what a takeover replaced: both take space."""
    aside = facts.basics.store.aside
    if not facts.basics.store.stamp_read:
        return  # they are in the same directory, which has its own note
    if aside is None:
        message = f"{paths.ASIDE} was not checked: this user cannot read it"
        yield found(ASIDE_UNREAD, message, fixes.LOOK_AS_ROOT)
    elif aside:
        message = f"{paths.ASIDE} keeps what the import, recover or adopt has replaced"
        fix = fixes.sudo("rm", "-rf", "--one-file-system", paths.ASIDE)
        yield found(PATHS_SET_ASIDE, f"{message}: {len(aside)}", fix)


CHECKS = (
    check_package,
    check_users,
    check_import,
    check_roots,
    check_aside,
)
