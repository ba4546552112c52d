"""Check the preconditions of a takeover; each check raises CommandError with a next step."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from nix_aurora_host import mounts, occupants, paths
from nix_aurora_host.adopt import architecture, copy
from nix_aurora_host.adopt.look import Former
from nix_aurora_host.database import files
from nix_aurora_host.database.content import check_content
from nix_aurora_host.database.newer import read_limit
from nix_aurora_host.database.roots import gather_roots
from nix_aurora_host.database.schema import CURRENT
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer.locks import import_lock
from nix_aurora_host.text import command, printable

_SHOWN = 10
_PATIENCE = 30.0  # seconds, for a nix command that root runs
_SOON = 5.0  # seconds, for processes that were killed


def check_former(former: Former, nix: str) -> None:
    """Raise CommandError if the packaged Nix, a store path, could not use this store."""
    directory = printable(former.directory)
    if former.schema is None:
        raise CommandError(
            f"cannot adopt {directory}: var/nix/db/schema: expected a number; nothing was changed",
            command(["ls", "-l", f"{former.directory}/var/nix/db"]),
        )
    if former.schema > CURRENT and former.schema > (limit := read_limit(lambda: nix) or CURRENT):
        raise CommandError(
            f"cannot adopt {directory}: its database is from a newer Nix: expected at most schema "
            f"{limit}, which the packaged Nix reads, got {former.schema}; nothing was changed",
            "sudo nix-aurora status",
        )
    names = (row.name for row in sorted(former.rows, key=lambda row: row.name[32:]))
    if foreign := architecture.find_foreign(former.store, names):
        raise CommandError(
            f"cannot adopt {directory}: its programs are for another architecture: expected "
            f"{os.uname().machine}, got {', '.join(sorted(foreign))}; nothing was changed",
        )


def check_unused(directory: str, patience: float = _SOON) -> None:
    """Raise CommandError if programs run from a store, or something is mounted inside one."""
    if inside := occupants.find_mounts(mounts.read_table(), directory):
        raise CommandError(
            f"cannot adopt {printable(directory)}: {printable(inside[0])}: something is mounted "
            "inside the store; nothing was changed",
            command(["sudo", "umount", inside[-1]]),
        )
    deadline = time.monotonic() + patience
    while (users := list(occupants.find_users(directory))) and time.monotonic() < deadline:
        time.sleep(0.1)
    if users:
        count = f"{len(users)} processes use" if len(users) > 1 else "1 process uses"
        shown = ", ".join(f"{pid} ({printable(program)})" for pid, program in users[:_SHOWN])
        raise CommandError(
            f"cannot adopt {printable(directory)}: {count} a store: {shown}; nothing was changed",
            command(["sudo", "kill", *(str(pid) for pid, _ in users)]),
        )


def check_content_of(former: Former) -> None:
    """Compare every store path with the records of its database."""
    copy.refuse_damaged(former.store, check_content(former.rows, former.store))


@contextmanager
def locked(*states: str) -> Iterator[None]:
    """Hold the import's lock, and lock every Nix out of the databases and stores of ``states``.

    These are directories ``var/nix``. Each process of Nix holds a shared lock of its database.
    """
    with ExitStack() as locks:
        locks.enter_context(import_lock())
        os.makedirs(paths.DATABASE_DIRECTORY, exist_ok=True)  # for the case before the first import
        for state in states:
            hold_database(locks, state)
        yield


def hold_database(locks: ExitStack, state: str) -> None:
    """Hold the locks of a store's database and of its collector until ``locks`` are closed."""
    for path in (f"{state}/db/big-lock", f"{state}/gc.lock"):
        try:
            free = locks.enter_context(files.lock(path, fcntl.LOCK_EX, patience=_PATIENCE))
        except OSError as error:
            if not os.statvfs(state).f_flag & os.ST_RDONLY:
                raise CommandError(
                    f"cannot lock {printable(path)}: {error.strerror}",
                    command(["ls", "-l", path]),
                ) from error
            continue  # nobody can change a read-only mount
        if not free:
            raise CommandError(
                f"cannot lock {printable(path)}: a nix command of root uses it; nothing was "
                "changed",
                "sudo lslocks",
            )


def has_packages(known: frozenset[str]) -> bool:
    """Return whether anybody keeps paths in this host's store, apart from the package.

    ``known`` are the names of the packaged store paths.
    """
    own = f"{paths.ROOTS}/"
    return any(
        not root.startswith(own) and name not in known for root, name in gather_roots().items()
    )
