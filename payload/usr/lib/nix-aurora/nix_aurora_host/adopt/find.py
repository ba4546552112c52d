"""Find the stores of another Nix on this host: the installers' places, and the source of /nix.

A store that is not mounted, or lies below another mount, is shown in a mount namespace of this
process: read-only, and only as long as the process runs.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from nix_aurora_host import paths
from nix_aurora_host.adopt import fstab
from nix_aurora_host.adopt.mounts import find_mount
from nix_aurora_host.errors import CommandError
from nix_aurora_host.former.mounts import Line
from nix_aurora_host.former.stores import BELOW, USUAL, is_device, sources
from nix_aurora_host.former.tree import Tree
from nix_aurora_host.importer import syscalls
from nix_aurora_host.mounts import read_mounts
from nix_aurora_host.system import run
from nix_aurora_host.text import command, printable

NIX = "/nix"
TREE = Tree()
"""The host's files."""

LOOK = f"{paths.RUN}/adopt"


class Candidate(NamedTuple):
    """A store to adopt: ``path`` is where this process sees it, ``name`` is the name for people.

    ``line`` is the line of fstab that mounts all of it on /nix. A store that only this process sees
    is not ``lasting``.
    """

    path: str
    name: str
    line: Line | None = None
    lasting: bool = True


def choose(directory: str | None) -> Candidate:
    """Return the store in ``directory``, or the only one that exists; raise CommandError.

    ``directory`` may also be the name of a store that is not mounted.
    """
    if directory is not None and os.path.isdir(directory):
        return _named(directory)
    found = list(find())
    if directory is not None:
        named = (candidate for candidate in found if candidate.name == directory)
        return next(named, None) or _named(directory)
    if not found:
        raise CommandError(
            "cannot find another Nix's store: expected a directory with store and var/nix at "
            f"{NIX}, {', '.join(USUAL)}, or mounted on /nix by {fstab.FILE} or nix.mount, got none",
            "sudo nix-aurora adopt --from DIRECTORY",
        )
    if len(found) > 1:
        names = ", ".join(printable(candidate.name) for candidate in found)
        first = next((candidate for candidate in found if candidate.lasting), found[0])
        raise CommandError(
            f"cannot choose among several stores: {names}",
            command(["sudo", "nix-aurora", "adopt", "--from", first.name]),
        )
    return found[0]


def _named(directory: str) -> Candidate:
    path = os.path.realpath(directory)
    if not is_store(path):
        own = "nix-aurora's own store" if _is_own(path) else "another directory"
        raise CommandError(
            f"cannot adopt {printable(path)}: expected a directory with store and "
            f"var/nix/db/db.sqlite, got {own}",
            "sudo nix-aurora adopt --dry-run",
        )
    return Candidate(path, path, _line_of(path))


def find() -> Iterator[Candidate]:
    """Yield the existing stores, each once."""
    known = set()
    for candidate in _candidates():
        if is_store(candidate.path):
            status = os.stat(f"{candidate.path}/store")
            if (status.st_dev, status.st_ino) not in known:
                known.add((status.st_dev, status.st_ino))
                yield candidate


def is_store(path: str) -> bool:
    """Return whether a directory contains another Nix's store."""
    there = os.path.isdir(f"{path}/store") and os.path.isfile(f"{path}/var/nix/db/db.sqlite")
    return there and not _is_own(path)


def _is_own(path: str) -> bool:
    try:
        return os.path.samefile(f"{path}/store", paths.STORE)
    except OSError:
        return False


def _candidates() -> Iterator[Candidate]:
    yield Candidate(NIX, NIX, _line_of(NIX))
    for place in USUAL:
        yield Candidate(place, place)
    for number, line in enumerate(sources(TREE)):
        if not is_device(line):
            yield Candidate(line.source, line.source)
        elif not os.path.ismount(NIX) or _is_own(NIX):
            yield from _show(number, line)
    if os.path.ismount(NIX) and _is_own(NIX):
        yield from _show_hidden()


def _line_of(path: str) -> Line | None:
    """Return the line that mounts a whole file system on a directory, if it is mounted."""
    mount = find_mount(path, read_mounts())
    if mount is None or mount.point != path or path != NIX:
        return None
    return next((line for line in sources(TREE) if is_device(line)), None)


def _show(number: int, line: Line) -> Iterator[Candidate]:
    """Mount the source of a line for this process only, to inspect it."""
    place = _make_place(f"{LOOK}/{number}")
    options = [option for option in line.options if option.startswith(("subvol", "loop"))]
    words = ["mount", "-t", line.kind, "-o", ",".join(["ro", *options]), line.source, place]
    if run(words).code == 0:
        yield Candidate(place, line.source, line, lasting=False)


def _show_hidden() -> Iterator[Candidate]:
    """Show the root directory without the mounts on it."""
    place = _make_place(f"{LOOK}/root")
    # a root directory that cannot be bound hides no store that could be found
    with suppress(OSError):
        syscalls.bind("/", place)
        yield Candidate(f"{place}{NIX}", BELOW, lasting=False)


def _make_place(path: str) -> str:
    os.makedirs(path, mode=0o700, exist_ok=True)
    syscalls.enter_mount_namespace()
    return path
