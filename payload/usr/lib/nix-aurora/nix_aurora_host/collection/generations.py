"""Remove old generations of profiles, by a process of the user who owns the profiles.

If root runs `nix-collect-garbage --delete-older-than`, it opens and removes files in directories of
users, who may have put links there. Here root only reads who owns the profiles.
"""

import os
import pwd
from collections.abc import Iterable

from nix_aurora_host import paths
from nix_aurora_host.person import Person
from nix_aurora_host.system import Outcome, run

_WIPE = "/usr/libexec/nix-aurora/wipe-history"
_PATIENCE = 300.0  # seconds, for the profiles of one user
_OUTPUT = 1 << 20  # bytes
_PER_USER = f"{paths.PROFILES}/per-user"


def find_users(targets: Iterable[str]) -> list[int]:
    """Return the ids of users with profiles, root first: owners of ``targets`` and directories."""
    try:
        own = [entry.path for entry in os.scandir(_PER_USER)]
    except OSError:  # Nix creates it when the first user connects
        own = []
    found = {0}
    for path in (*own, *targets):
        try:
            found.add(os.lstat(path).st_uid)
        except OSError:  # it was deleted
            continue
    return sorted(found)


def find_person(user: int) -> Person | None:
    """Return a user by id; None if the host does not know the user now."""
    try:
        entry = pwd.getpwuid(user)
    except KeyError:
        return None
    return Person(user, entry.pw_gid, entry.pw_name, entry.pw_dir)


def list_directories(person: Person) -> list[str]:
    """Return the directories with the profiles of a user; for root, also those of the system."""
    shared = [paths.PROFILES] if person.uid == 0 else []
    return [*shared, f"{_PER_USER}/{person.name}", f"{person.home}/{paths.USER_PROFILES}"]


def remove(person: Person, days: int, *, dry_run: bool) -> Outcome:
    """Remove a user's generations that are older than ``days``, as that user.

    Nix does not read the user's own settings for this, as they can name programs to run.
    """
    limit = f"dry-run:{days}" if dry_run else str(days)
    return run(
        [_WIPE, limit, *list_directories(person)],
        timeout=_PATIENCE,
        limit=_OUTPUT,
        person=person,
        environment={"HOME": person.home, "NIX_USER_CONF_FILES": "/dev/null"},
    )


def count(outcome: Outcome) -> int:
    """Return how many generations Nix removed, or would remove, by its output."""
    return sum(" profile version " in line for line in outcome.stderr.splitlines())
