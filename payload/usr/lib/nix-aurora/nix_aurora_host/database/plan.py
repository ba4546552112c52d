"""What a copy of the database knows, and the database does not: what is to be registered again."""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from nix_aurora_host import paths
from nix_aurora_host.database.rows import Row, read_references, read_rows

Check = Callable[[Collection[Row]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be registered again, by store path names.

    ``ids`` has the rows of the copy to take over, ``unfit`` has why others are left out, ``size``
    is in bytes.
    """

    ids: Mapping[str, int] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    size: int = 0


def make_plan(copy: sqlite3.Connection, valid: set[str], check: Check) -> Plan:
    """Compare a copy with the names that are valid; ``check`` compares it with the disk.

    What is not on disk was collected, and is left alone. A row whose references are not all valid,
    or part of the plan, is unfit.
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
