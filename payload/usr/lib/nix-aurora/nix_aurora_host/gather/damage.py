"""Whether the packaged store paths are what Nix's database says, told without starting Nix.

Nix does the same with nix-store --verify-path; but where its C library is damaged it does not
start, and an ordinary user's call would start the daemon.
"""

import os
from collections.abc import Iterable

from nix_aurora_host import paths
from nix_aurora_host.database.nar import ContentError, verify
from nix_aurora_host.gather.closure import Closure
from nix_aurora_host.gather.store import query

_SHA256 = "sha256:"


def gather_damaged(closure: Closure) -> tuple[str, ...]:
    """Return the packaged store paths that are on disk, registered, and not as registered."""
    marks = ",".join("?" * len(closure.paths))
    statement = f"select path, hash, narSize from ValidPaths where path in ({marks})"  # noqa: S608 - marks
    return find_damaged(query(statement, closure.paths) or ())


def find_damaged(rows: Iterable[tuple[str, str, int]]) -> tuple[str, ...]:
    """Return those of the registered paths, (path, sha256:HEX, size), that differ from that."""
    return tuple(path for path, wanted, size in sorted(rows) if _is_damaged(path, wanted, size))


def _is_damaged(path: str, wanted: str, size: int) -> bool:
    store, name = os.path.split(paths.physical(path))
    if not os.path.lexists(f"{store}/{name}") or not wanted.startswith(_SHA256):
        return False  # what is missing has a finding of its own
    try:
        verify(store, name, bytes.fromhex(wanted.removeprefix(_SHA256)), size)
    except ContentError as error:
        return not isinstance(error.__cause__, PermissionError)  # this user cannot tell
    except ValueError:  # the hash has another form than Nix gives it
        return True
    except OSError:  # this user may not list the store, which has a finding of its own
        return False
    return False
