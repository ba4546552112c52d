"""Copy store paths of another store into the work directory, and verify each NAR hash.

A file shares its blocks with the other store's if the file system can do that. Files that
`nix-store --optimise` has linked there are also linked here if `.links` is copied.
"""

import errno
import os
import threading
from collections.abc import Collection, Mapping

from nix_aurora_host import paths
from nix_aurora_host.adopt.journal import place
from nix_aurora_host.database import nar
from nix_aurora_host.database.progress import Progress
from nix_aurora_host.database.rows import Row
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import clone, workers
from nix_aurora_host.text import human, printable

_SPARE = 64 << 20  # bytes that the file system keeps free
_SHARE_OF_NAMES = 32  # directories and inodes need one byte for this many shared bytes
_LOCKS = 64
_SHOWN = 10


def copy_paths(
    store: str, target: str, rows: Collection[Row], *, linked: bool, check: bool = True
) -> None:
    """Copy store paths into the directory ``target``; raise CommandError if one is damaged.

    With ``linked``, files that are in ``.links`` are linked in the copy as well. Without ``check``,
    the content is not compared with its record.
    """
    os.makedirs(place("part"), mode=0o700, exist_ok=True)
    copier = _Copier(store, target, _read_links(store) if linked else {})
    flaws: dict[str, str] = {}
    total = sum(row.size for row in rows)
    with Progress("copying the store", total) as progress:

        def copy(row: Row) -> None:
            flaw = copier.copy(row, progress, check=check)
            if flaw is not None:
                flaws[row.name] = flaw

        workers.each(copy, sorted(rows, key=lambda row: (-row.size, row.name)))
    refuse_damaged(store, flaws)


def refuse_damaged(store: str, flaws: Mapping[str, str]) -> None:
    """Raise CommandError if store paths differ from the records of their database."""
    if not flaws:
        return
    shown = "; ".join(f"{printable(name)}: {flaws[name]}" for name in sorted(flaws)[:_SHOWN])
    raise CommandError(
        f"cannot adopt {printable(store)}: {len(flaws)} store paths differ from what its database "
        f"has recorded: {shown}; --no-check skips this verification, and adopts them as "
        "they are; nothing was changed",
        "sudo nix-aurora adopt --no-check",
    )


def can_share(store: str, names: Collection[str]) -> bool:
    """Return whether files of a store can share their blocks with ours; try one."""
    os.makedirs(paths.ADOPTION, mode=0o700, exist_ok=True)
    for name in names:
        for directory, _, found in os.walk(f"{store}/{name}"):
            files = [f"{directory}/{file}" for file in found]
            regular = [path for path in files if not os.path.islink(path)]
            if regular:
                return clone.can_share(regular[0], place("probe"))
    return False


def require_space(size: int, *, shared: bool) -> None:
    """Raise CommandError unless there is room for copies of ``size`` bytes."""
    need = (size // _SHARE_OF_NAMES if shared else size) + _SPARE
    space = os.statvfs(paths.HOME)
    free = space.f_bavail * space.f_frsize
    if free < need:
        raise CommandError(
            f"cannot copy the store: {paths.HOME}: expected {human(need)} of free space, got "
            f"{human(free)}; nothing was changed",
            "sudo nix-aurora gc run",
        )


def _read_links(store: str) -> dict[int, str]:
    """Return the names in ``.links``, by the inode numbers of files that also have other names."""
    try:
        with os.scandir(f"{store}/.links") as entries:
            found = ((entry.name, entry.stat(follow_symlinks=False)) for entry in entries)
            return {status.st_ino: name for name, status in found if status.st_nlink > 1}
    except FileNotFoundError:
        return {}


class _Copier:
    """Copy paths from one store into a directory; threads may share the object."""

    def __init__(self, store: str, target: str, links: Mapping[int, str]) -> None:
        self._store = store
        self._target = target
        self._links = links
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        if links:
            os.makedirs(f"{target}/.links", mode=0o755, exist_ok=True)

    def copy(self, row: Row, progress: Progress, *, check: bool) -> str | None:
        """Copy one path; return how it differs from its record, or None."""
        source, part = f"{self._store}/{row.name}", place(f"part/{row.name}")
        left = row.size

        def make(old: str, status: os.stat_result, new: str) -> bool:
            nonlocal left
            left -= status.st_size
            if left < 0 and check:  # a file may be longer than recorded, or endless
                raise clone.UnfitError(f"expected a NAR of {row.size} bytes, got more")
            return self._link(old, status, new)

        try:
            clone.clone(source, part, make=make)
            if check:
                self._verify(part, row, progress)
            else:
                progress.add(row.size)
        except (clone.UnfitError, nar.ContentError) as error:
            return str(error)
        except FileNotFoundError:
            if os.path.lexists(source):
                raise
            return "it is not in the store"
        os.rename(part, f"{self._target}/{row.name}")
        return None

    def _verify(self, part: str, row: Row, progress: Progress) -> None:
        if row.digest is None:
            raise nar.ContentError("the database has no valid hash for it")
        nar.verify(*os.path.split(part), row.digest, row.size, progress.add)

    def _link(self, old: str, status: os.stat_result, new: str) -> bool:
        """Link a file that was linked in the other store; return whether that was possible."""
        name = self._links.get(status.st_ino) if status.st_nlink > 1 else None
        if name is None:
            return False
        shared = f"{self._target}/.links/{name}"
        with self._locks[status.st_ino % _LOCKS]:
            if not os.path.lexists(shared):
                clone.clone_file(old, new)
                os.link(new, shared)
                return True
        try:
            os.link(shared, new)
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            return False  # the file has the maximum number of links
        return True
