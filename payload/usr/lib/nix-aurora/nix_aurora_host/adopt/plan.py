"""Plan a takeover after inspecting both stores; nothing is changed yet."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from nix_aurora_host import paths, removal
from nix_aurora_host.adopt import checks, copy, merge, snapshot, switch, trusted
from nix_aurora_host.adopt.find import Candidate, choose
from nix_aurora_host.adopt.journal import Way, place
from nix_aurora_host.adopt.look import Former, look
from nix_aurora_host.adopt.mounts import find_lasting_name, find_mount
from nix_aurora_host.database.rows import Row
from nix_aurora_host.errors import CommandError
from nix_aurora_host.former.mounts import Line
from nix_aurora_host.importer.closure import read_closure
from nix_aurora_host.mounts import read_mounts
from nix_aurora_host.text import printable


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a takeover; ``name`` is the store's name for people.

    ``copied`` are the store paths that are copied, and ``shared`` is whether these copies share
    their blocks with the originals. ``line`` is the line of fstab that is changed.
    """

    way: Way
    former: Former
    name: str
    copied: Sequence[Row] = ()
    shared: bool = False
    line: Line | None = None
    lasting: bool = True

    @property
    def source(self) -> str:
        """Return the store's directory, or its name if only this process sees it."""
        return self.former.directory if self.lasting else self.name

    @property
    def size(self) -> int:
        """Return the maximum number of bytes that are copied."""
        if self.way is Way.COPY:
            var = removal.measure(f"{self.former.directory}/var", across=True)
            return self.former.size + var
        return sum(row.size for row in self.copied)


def make_plan(directory: str | None) -> Plan:
    """Inspect both stores, and return the plan; raise CommandError."""
    candidate = choose(directory)
    return look_again(candidate, trusted.resolve(_lasting(candidate)))


def _lasting(candidate: Candidate) -> str:
    if candidate.line is not None or not candidate.lasting:
        return candidate.path
    mounts = read_mounts()
    return find_lasting_name(os.path.realpath(candidate.path), paths.OWN, mounts)


def look_again(candidate: Candidate, directory: str) -> Plan:
    """Return the plan for a store in a directory that only root can change."""
    database = snapshot.take(f"{directory}/{switch.DB}", place("look"))
    former = look(directory, database)
    if not former.rows:
        raise CommandError(
            f"cannot adopt {printable(directory)}: its database contains no store paths; nothing "
            "was changed",
            "sudo nix-aurora adopt --from DIRECTORY",
        )
    closure = read_closure()
    checks.check_former(former, closure.path(closure.nix))
    packages = checks.has_packages(frozenset(closure.paths))
    way = choose_way(
        packages=packages,
        whole=candidate.line is not None,
        renames=candidate.lasting and _is_on_our_file_system(directory),
    )
    if way in {Way.MOVE, Way.COPY} and not switch.can_exchange():
        raise CommandError(
            f"cannot adopt {printable(directory)}: {paths.HOME}: its file system cannot exchange "
            "two directories in one step; nothing was changed",
            f"findmnt --target {paths.HOME}",
        )
    copied: Sequence[Row] = ()
    if way in {Way.COPY, Way.MERGE}:
        copied = former.rows if way is Way.COPY else merge.find_missing(former.rows)
    shared = copy.can_share(former.store, [row.name for row in copied])
    plan = Plan(way, former, candidate.name, copied, shared, candidate.line, candidate.lasting)
    if copied:
        copy.require_space(plan.size, shared=shared)
    return plan


def choose_way(*, packages: bool, whole: bool, renames: bool) -> Way:
    """Return the way in which a store is taken over.

    ``packages`` is whether users have packages in this host's store, ``whole`` whether the other
    one is a file system that fstab mounts, ``renames`` whether it can be renamed to here.
    """
    if packages:
        return Way.MERGE
    if whole:
        return Way.MOUNT
    return Way.MOVE if renames else Way.COPY


def _is_on_our_file_system(directory: str) -> bool:
    """Return whether rename(2) works from there to here: one file system, shown by one mount."""
    mounts = read_mounts()
    own = os.lstat(paths.OWN).st_dev
    inner = (f"{directory}/{part}" for part in ("store", "var", switch.DB))
    return all(os.lstat(path).st_dev == own for path in inner) and find_mount(
        directory, mounts
    ) is find_mount(paths.OWN, mounts)
