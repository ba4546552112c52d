"""Check that Nix's database is whole, readable, and knows the paths that users keep."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.text import printable

DATABASE_DAMAGED = Kind("database-damaged", Severity.ERROR)
DATABASE_SCHEMA = Kind("database-schema", Severity.ERROR)
DATABASE_NEWER = Kind("database-newer", Severity.ERROR)
PATHS_UNREGISTERED = Kind("paths-unregistered", Severity.ERROR)
DATABASE_LOST = Kind("database-lost", Severity.ERROR)
ROOTS_UNREGISTERED = Kind("roots-unregistered", Severity.NOTE)

_SHOWN = 10
_RECOVER = fixes.sudo("nix-aurora", "recover")


def check_damage(facts: Facts) -> Iterator[Finding]:
    """Check for damage: a damaged database loses its records, so a copy has to replace it."""
    if facts.basics.database.damage is not None:
        message = (
            f"{paths.DATABASE} is damaged ({printable(facts.basics.database.damage)}): "
            "the import restores it from a copy"
        )
        yield found(DATABASE_DAMAGED, message, fixes.cure_import(facts))


def check_schema(facts: Facts) -> Iterator[Finding]:
    """Check the schema file beside the database: Nix opens nothing if it contains no number."""
    if facts.basics.database.misread is not None:
        message = (
            f"{printable(facts.basics.database.misread)}: Nix does not open the database until the "
            "import has corrected the file"
        )
        yield found(DATABASE_SCHEMA, message, fixes.cure_import(facts))


def check_newer(facts: Facts) -> Iterator[Finding]:
    """Check that no newer Nix has changed the database to a schema that the packaged one lacks."""
    database = facts.basics.database
    if not database.newer:
        return
    upgrade = fixes.upgrade(facts)
    message = (
        f"{paths.DATABASE} has schema {database.schema}, made by a newer Nix; the packaged Nix "
        f"{printable(facts.basics.closure.version)} reads schema {database.reads}; to lose "
        "nothing, boot the system that has the newer Nix, or upgrade this one"
    )
    if database.copies is not None and database.readable is None:
        yield found(DATABASE_NEWER, message, upgrade)
        return
    copy = "the newest copy that the packaged Nix reads"
    if database.readable is not None:
        copy = f"the copy of {database.readable.date}"
    message += f" ({upgrade}); the fix restores {copy}, and keeps the newer database aside"
    yield found(DATABASE_NEWER, message, _RECOVER)


def check_lost(facts: Facts) -> Iterator[Finding]:
    """Check that the paths that users keep are registered: a collection deletes all others."""
    database = facts.basics.database
    if facts.basics.store.valid_paths is None or not database.opens:
        return
    if database.vouched:
        message = (
            "store paths that users keep are missing from the database, but recorded in a copy of "
            f"it ({printable(database.vouched[0])}, …): the next garbage collection deletes these "
            "paths"
        )
        yield found(PATHS_UNREGISTERED, message, _RECOVER)
    elif database.lost:
        message = (
            "the database was lost, and there was no copy of it; the daily copy is disabled until "
            "nix-aurora recover has listed what the new database lacks"
        )
        yield found(DATABASE_LOST, message, _RECOVER)
    if database.unknown and not (database.vouched or database.lost):
        yield _unregistered(facts)


def _unregistered(facts: Facts) -> Finding:
    """Return a note, not an error: any user can make such a link, and only its path is at risk."""
    unknown = facts.basics.database.unknown
    paths_ = sorted({f"{paths.PREFIX}/{name}" for name in unknown.values()})
    first = printable(next(iter(unknown)))
    message = (
        f"links lead to store paths that the database does not know ({first}, …; {len(unknown)}): "
        "the next garbage collection deletes these paths; install or build them again, or delete "
        "the links"
    )
    fix = fixes.command("nix-store", "--realise", *paths_[:_SHOWN])
    return found(ROOTS_UNREGISTERED, message, fix)


CHECKS = (check_damage, check_schema, check_newer, check_lost)
