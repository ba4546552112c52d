"""Compare the packaged store paths with Nix's database, without starting Nix.

nix-store --verify-path does the same, but Nix does not start if its C library is damaged, and a
call by an ordinary user would start the daemon.
"""

import os
from collections.abc import Iterable

from nix_aurora_host import paths
from nix_aurora_host.database.nar import ContentError, verify
from nix_aurora_host.gather.closure import Closure
from nix_aurora_host.gather.store import query

_SHA256 = "sha256:"


def gather_damaged(closure: Closure) -> tuple[str, ...]:
    """Return the packaged store paths that are on disk but differ from their registration."""
    marks = ",".join("?" * len(closure.paths))
    statement = f"select path, hash, narSize from ValidPaths where path in ({marks})"  # noqa: S608 - marks
    return find_damaged(query(statement, closure.paths) or ())


def find_damaged(rows: Iterable[tuple[str, str, int]]) -> tuple[str, ...]:
    """Return the paths in ``rows``, (path, sha256:HEX, size), with content that differs."""
    return tuple(path for path, wanted, size in sorted(rows) if _is_damaged(path, wanted, size))


def _is_damaged(path: str, wanted: str, size: int) -> bool:
    store, name = os.path.split(paths.physical(path))
    if not os.path.lexists(f"{store}/{name}") or not wanted.startswith(_SHA256):
        return False  # a missing path has a finding of its own
    try:
        verify(store, name, bytes.fromhex(wanted.removeprefix(_SHA256)), size)
    except ContentError as error:
        return not isinstance(error.__cause__, PermissionError)  # this user cannot read it
    except ValueError:  # the hash is not in Nix's format
        return True
    except OSError:  # this user may not list the store, which has a finding of its own
        return False
    return False
