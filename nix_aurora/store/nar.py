"""The Nix archive (NAR) serialization, streamed.

Format: E. Dolstra, "The Purely Functional Software Deployment Model", figure 5.2, and the Nix
manual, "Nix Archive (NAR) format". A string is its length as 64 bits little-endian, its bytes,
and zeros up to a multiple of 8.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from nix_aurora.errors import VerificationError
from nix_aurora.text import printable

_CHUNK = 1 << 20  # bytes that are read from a file at once
_ZEROS = bytes(8)


class NarHash(NamedTuple):
    """The registered facts of a path: SHA-256 and size in bytes of its NAR."""

    sha256: bytes
    size: int


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + data + _ZEROS[: -len(data) % 8]


_MAGIC = _string(b"nix-archive-1")
_OPEN, _CLOSE = _string(b"("), _string(b")")
_REGULAR = _OPEN + _string(b"type") + _string(b"regular")
_EXECUTABLE = _string(b"executable") + _string(b"")
_CONTENTS = _string(b"contents")
_SYMLINK = _OPEN + _string(b"type") + _string(b"symlink") + _string(b"target")
_DIRECTORY = _OPEN + _string(b"type") + _string(b"directory")
_ENTRY = _string(b"entry") + _OPEN + _string(b"name")
_NODE = _string(b"node")


def dump(path: Path) -> Iterator[bytes]:
    """Serialize the file, symlink or directory at ``path``, in pieces of at most about 1 MiB.

    A NAR contains no times, no owners, and no permissions except the owner's execute bit. Raises
    VerificationError for a device, socket or fifo, and if a file changes meanwhile.
    """
    yield _MAGIC
    yield from _node(os.fsencode(path))


def _node(path: bytes) -> Iterator[bytes]:
    status = os.lstat(path)
    if stat.S_ISREG(status.st_mode):
        yield from _regular(path, status)
    elif stat.S_ISDIR(status.st_mode):
        yield _DIRECTORY
        for name in sorted(os.listdir(path)):  # noqa: PTH208 - bytes, in byte order
            yield _ENTRY + _string(name) + _NODE
            yield from _node(path + b"/" + name)
            yield _CLOSE
        yield _CLOSE
    elif stat.S_ISLNK(status.st_mode):
        yield _SYMLINK + _string(os.readlink(path)) + _CLOSE  # noqa: PTH115 - bytes
    else:
        raise VerificationError(
            f"cannot serialize a store path: {printable(os.fsdecode(path))}: "
            "expected a file, directory or symlink, got something else"
        )


def _regular(path: bytes, status: os.stat_result) -> Iterator[bytes]:
    head = _REGULAR
    if status.st_mode & stat.S_IXUSR:
        head += _EXECUTABLE
    size = status.st_size
    yield head + _CONTENTS + size.to_bytes(8, "little")
    done = 0
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - bytes
        while chunk := file.read(_CHUNK):
            done += len(chunk)
            yield chunk
    if done != size:
        raise VerificationError(
            f"cannot serialize a store path: {printable(os.fsdecode(path))}: "
            f"expected {size} bytes, got {done}"
        )
    yield _ZEROS[: -size % 8] + _CLOSE


def nar_hash(path: Path, progress: Callable[[int], None] | None = None) -> NarHash:
    """Hash the NAR of ``path``; call ``progress`` with the number of bytes after each piece."""
    digest = hashlib.sha256()
    size = 0
    for piece in dump(path):
        digest.update(piece)
        size += len(piece)
        if progress:
            progress(len(piece))
    return NarHash(digest.digest(), size)
