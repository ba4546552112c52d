"""Find what copies can add to the database, and register it."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from nix_aurora_host import paths
from nix_aurora_host.database import pathlocks, realisations, sqlite
from nix_aurora_host.database.content import check_content
from nix_aurora_host.database.copies import Copy, find_flaw, read_copies
from nix_aurora_host.database.plan import Plan, make_plan
from nix_aurora_host.database.roots import gather_roots
from nix_aurora_host.database.rows import Row, take_over


@dataclass(frozen=True, slots=True)
class Found:
    """What recover can do, and what it cannot.

    ``plans`` has a plan for each usable copy, ``flaws`` the reasons against the others. ``lost``
    has the roots whose store paths are in no usable copy, with the names of these paths.
    ``realisations`` is the number of those that come with the paths, or belong to registered paths.
    """

    plans: Sequence[tuple[Copy, Plan]] = ()
    flaws: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)
    realisations: int = 0
    broken: str | None = None  # why the import has to restore the database first

    @property
    def names(self) -> list[str]:
        """Return the names that can be registered."""
        return [name for _, plan in self.plans for name in plan.ids]

    @property
    def unfit(self) -> dict[str, str]:
        """Return the names in a copy that differ from the disk, with the reason."""
        names = set(self.names)
        found = {name: why for _, plan in reversed(self.plans) for name, why in plan.unfit.items()}
        return {name: why for name, why in found.items() if name not in names}

    @property
    def size(self) -> int:
        """Return the size of what can be registered, in bytes."""
        return sum(plan.size for _, plan in self.plans)


def find(locks: ExitStack) -> Found:
    """Compare the database, the copies, the disk and the roots.

    The paths that can be registered stay unchanged until ``locks`` are closed.
    """

    def check(rows: Collection[Row]) -> dict[str, str]:
        mine = locks.enter_context(pathlocks.hold([row.name for row in rows]))
        busy = {row.name: "it is being built or downloaded" for row in rows if row.name not in mine}
        return busy | check_content([row for row in rows if row.name in mine])

    with sqlite.connect(paths.DATABASE) as live:
        valid = {
            path.removeprefix(f"{paths.PREFIX}/")
            for (path,) in live.execute("select path from ValidPaths")
        }
    known = set(valid)
    plans = []
    flaws = {}
    built: set[realisations.Key] = set()
    for copy in read_copies():
        if flaw := find_flaw(copy, {}):
            flaws[copy.generation] = flaw
            continue
        with sqlite.connect(copy.database, "immutable") as connection:
            plan = make_plan(connection, known, check)
            known |= set(plan.ids)
            with sqlite.connect(paths.DATABASE) as live:
                built |= realisations.find_missing(connection, live, known).keys()
        plans.append((copy, plan))
    lost = {root: name for root, name in gather_roots().items() if name not in known}
    return Found(plans, flaws, lost, len(built))


def insert(live: sqlite3.Connection, plans: Sequence[tuple[Copy, Plan]]) -> None:
    """Insert the rows into the database, in one transaction."""
    live.execute("pragma foreign_keys = on")
    live.execute("begin immediate")
    for copy, plan in plans:
        with sqlite.connect(copy.database, "immutable") as connection:
            take_over(connection, live, plan.ids.values())
            realisations.take_over(connection, live)
    live.execute("commit")
