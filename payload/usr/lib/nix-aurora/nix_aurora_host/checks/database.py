"""Nix's database: damaged, newer than the packaged Nix, or without what users keep."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.registry import found
from nix_aurora_host.facts import Facts
from nix_aurora_host.finding import Finding
from nix_aurora_host.text import printable

_SHOWN = 10
_RECOVER = fixes.sudo("nix-aurora", "recover")
_REBOOT = fixes.systemctl("reboot")


def check_damage(facts: Facts) -> Iterator[Finding]:
    """A damaged database loses what it knows, sooner or later: a copy takes its place."""
    if facts.basics.database.damage is not None:
        message = (
            f"{paths.DATABASE} is damaged ({printable(facts.basics.database.damage)}): "
            "the import restores it from a copy"
        )
        yield found("database-damaged", message, fixes.cure_import(facts))


def check_schema(facts: Facts) -> Iterator[Finding]:
    """A newer Nix may have changed the database so that the packaged one does not read it."""
    database = facts.basics.database
    if database.schema is None or database.reads is None or database.schema <= database.reads:
        return
    message = (
        f"{paths.DATABASE} has schema {database.schema}, made by a newer Nix; the packaged Nix "
        f"{printable(facts.basics.closure.version)} reads schema {database.reads}: boot the system "
        "that has the newer Nix, or upgrade this one"
    )
    if not facts.host.ostree:
        upgrade = fixes.sudo("dnf", "upgrade", "nix-aurora")
        fix = fixes.chain(upgrade, fixes.repeat_import(facts))
    elif facts.host.layered:
        fix = fixes.chain(fixes.sudo("rpm-ostree", "upgrade"), _REBOOT)
    else:
        fix = fixes.chain(fixes.sudo("bootc", "upgrade"), _REBOOT)
    yield found("database-newer", message, fix)


def check_lost(facts: Facts) -> Iterator[Finding]:
    """What users keep is to be in the database, or the next collection deletes it."""
    database = facts.basics.database
    if facts.basics.store.valid_paths is None or database.damage is not None:
        return
    if database.vouched:
        message = (
            "the database does not know store paths that users keep, and that a copy of it knows "
            f"({printable(database.vouched[0])}, …): the next garbage "
            "collection deletes them"
        )
        yield found("paths-unregistered", message, _RECOVER)
    elif database.lost:
        message = (
            "the database was lost, there was no copy of it, and no copy is made of the new one "
            "before you have seen what it lacks"
        )
        yield found("database-lost", message, _RECOVER)
    if database.unknown and not (database.vouched or database.lost):
        yield _unregistered(facts)


def _unregistered(facts: Facts) -> Finding:
    """Return a note: any user can make such a link, and nothing but the link's path is at stake."""
    unknown = facts.basics.database.unknown
    paths_ = sorted({f"{paths.PREFIX}/{name}" for name in unknown.values()})
    first = printable(next(iter(unknown)))
    message = (
        f"links keep store paths that the database does not know ({first}, …; {len(unknown)}): "
        "these paths are not used, and the next garbage collection deletes them; install or build "
        "them again, or delete the links"
    )
    fix = fixes.command("nix-store", "--realise", *paths_[:_SHOWN])
    return found("roots-unregistered", message, fix)


CHECKS = (check_damage, check_schema, check_lost)
