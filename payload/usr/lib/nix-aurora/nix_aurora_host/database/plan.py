"""Find what a copy of the database knows and the database lacks, to register it again."""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from nix_aurora_host import paths
from nix_aurora_host.database.rows import Row, read_references, read_rows

Check = Callable[[Collection[Row]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan of what can be registered again, by store path names.

    ``ids`` has the copy's rows to restore, ``unfit`` has the reasons for leaving out the others,
    ``size`` is in bytes.
    """

    ids: Mapping[str, int] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    size: int = 0


def make_plan(copy: sqlite3.Connection, valid: set[str], check: Check) -> Plan:
    """Compare a copy with the names that are valid; ``check`` compares it with the disk.

    A path that is not on disk was collected, and is left alone. A row is unfit unless all its
    references are valid or part of the plan.
    """
    rows = read_rows(copy)
    absent = {
        number: row
        for number, row in rows.items()
        if row.name not in valid
        and row.digest is not None
        and os.path.lexists(f"{paths.STORE}/{row.name}")
    }
    flaws = dict(check(list(absent.values())))
    kept = {number for number, row in absent.items() if row.name not in flaws}
    references = read_references(copy)
    pending = True
    while pending:
        pending = False
        for number in sorted(kept):
            if missing := _missing(rows, references.get(number, set()) - kept, valid):
                flaws[rows[number].name] = f"it needs {missing}, which is not registered"
                kept.discard(number)
                pending = True
    return Plan(
        {rows[number].name: number for number in sorted(kept)},
        flaws,
        sum(rows[number].size for number in kept),
    )


def _missing(rows: Mapping[int, Row], others: Iterable[int], valid: set[str]) -> str | None:
    names = (rows[other].name if other in rows else f"row {other}" for other in others)
    return next((name for name in names if name not in valid), None)
