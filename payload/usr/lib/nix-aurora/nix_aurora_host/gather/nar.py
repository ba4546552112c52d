"""Whether the packaged store paths are what Nix's database says, told without starting Nix.

Nix does the same with nix-store --verify-path; but where its C library is damaged it starts no
more, and an ordinary user's call would start the daemon.
"""

import hashlib
import os
import stat
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.facts import Closure
from nix_aurora_host.gather.store import query

_CHUNK = 1 << 20


def gather_damaged(closure: Closure) -> tuple[str, ...]:
    """Return the packaged store paths that are on disk, registered, and not as registered."""
    marks = ",".join("?" * len(closure.paths))
    statement = f"select path, hash from ValidPaths where path in ({marks})"  # noqa: S608 - marks
    return find_damaged(dict(query(statement, closure.paths) or ()))


def find_damaged(registered: Mapping[str, str]) -> tuple[str, ...]:
    """Return those of the registered paths whose NAR has another hash: {path: sha256:HEX}."""
    damaged = []
    for path, wanted in sorted(registered.items()):
        where = paths.physical(path)
        if os.path.lexists(where) and wanted.startswith("sha256:"):
            try:
                if f"sha256:{nar_sha256(where)}" != wanted:
                    damaged.append(path)
            except PermissionError:  # this user cannot tell
                continue
            except OSError:  # the disk gives nothing more, or the file has no kind that Nix knows
                damaged.append(path)
    return tuple(damaged)


def nar_sha256(path: str) -> str:
    """Return the SHA-256 of a path's NAR; raises OSError (NotADirectoryError for devices)."""
    digest = hashlib.sha256()
    digest.update(_string(b"nix-archive-1"))
    _add(os.fsencode(path), digest.update)
    return digest.hexdigest()


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text + b"\0" * (-len(text) % 8)


def _add(path: bytes, write: Callable[[bytes], None]) -> None:
    def words(*texts: bytes) -> None:
        write(b"".join(map(_string, texts)))

    status = os.lstat(path)
    words(b"(", b"type")
    if stat.S_ISLNK(status.st_mode):
        words(b"symlink", b"target", os.readlink(path))  # noqa: PTH115 - bytes
    elif stat.S_ISDIR(status.st_mode):
        words(b"directory")
        for name in sorted(os.listdir(path)):  # noqa: PTH208 - bytes
            words(b"entry", b"(", b"name", name, b"node")
            _add(path + b"/" + name, write)
            words(b")")
    elif stat.S_ISREG(status.st_mode):
        words(b"regular", *((b"executable", b"") if status.st_mode & stat.S_IXUSR else ()))
        words(b"contents")
        _add_content(path, status.st_size, write)
    else:
        raise NotADirectoryError(f"expected a file, a directory or a link, got {status.st_mode:o}")
    words(b")")


def _add_content(path: bytes, size: int, write: Callable[[bytes], None]) -> None:
    write(struct.pack("<Q", size))
    left = size
    with Path(os.fsdecode(path)).open("rb") as file:
        while left and (chunk := file.read(min(left, _CHUNK))):
            left -= len(chunk)
            write(chunk)
    write(b"\0" * (-size % 8))
