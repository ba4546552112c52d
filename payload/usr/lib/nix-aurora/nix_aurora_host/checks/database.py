"""Nix's database: damaged, newer than the packaged Nix, or without what users keep."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.facts import Facts
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.text import command, printable

_SHOWN = 10
_RECOVER = "sudo nix-aurora recover"


def check_damage(facts: Facts) -> Iterator[Finding]:
    """A damaged database loses what it knows, sooner or later: a copy takes its place."""
    if facts.basics.database.damage is not None:
        message = (
            f"{paths.DATABASE} is damaged ({printable(facts.basics.database.damage)}): "
            "the import restores it from a copy"
        )
        yield Finding("database-damaged", Severity.ERROR, message, fixes.cure_import(facts))


def check_schema(facts: Facts) -> Iterator[Finding]:
    """A newer Nix may have changed the database so that the packaged one does not read it."""
    database = facts.basics.database
    if database.schema is None or database.reads is None or database.schema <= database.reads:
        return
    message = (
        f"{paths.DATABASE} has schema {database.schema}, made by a newer Nix; the packaged Nix "
        f"{facts.basics.closure.version} reads schema {database.reads}: boot the system that has "
        "the newer Nix, or upgrade this one"
    )
    if not facts.host.ostree:
        fix = f"sudo dnf upgrade nix-aurora && {fixes.repeat_import(facts)}"
    elif facts.host.layered:
        fix = "sudo rpm-ostree upgrade && sudo systemctl reboot"
    else:
        fix = "sudo bootc upgrade && sudo systemctl reboot"
    yield Finding("database-newer", Severity.ERROR, message, fix)


def check_lost(facts: Facts) -> Iterator[Finding]:
    """What users keep is to be in the database, or the next collection deletes it."""
    database = facts.basics.database
    if facts.basics.store.valid_paths is None or database.damage is not None:
        return
    if database.vouched:
        message = (
            "the database does not know store paths that users keep, and that a copy of it knows "
            f"({paths.store_name(f'{paths.PREFIX}/{database.vouched[0]}')}, …): the next garbage "
            "collection deletes them"
        )
        yield Finding("paths-unregistered", Severity.ERROR, message, _RECOVER)
    elif database.lost:
        message = (
            "the database was lost, there was no copy of it, and no copy is made of the new one "
            "before you have seen what it lacks"
        )
        yield Finding("database-lost", Severity.ERROR, message, _RECOVER)
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
    return Finding(
        "roots-unregistered",
        Severity.NOTE,
        message,
        command(["nix-store", "--realise", *paths_[:_SHOWN]]),
    )


CHECKS = (check_damage, check_schema, check_lost)
