"""Hash a store path's content as if an attacker had put it there.

A failed build leaves content of its user's choice in the store. So no link is followed, only
regular files and directories of the store's owner are opened, and nothing is read beyond the size
that the database has recorded.

Format: E. Dolstra, "The Purely Functional Software Deployment Model", figure 5.2. A string is its
length as 64 bits little-endian, its bytes, and zeros up to a multiple of 8.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

_CHUNK = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + data + bytes(-len(data) % 8)


_MAGIC = _string(b"nix-archive-1")
_CLOSE = _string(b")")
_REGULAR = _string(b"(") + _string(b"type") + _string(b"regular")
_EXECUTABLE = _string(b"executable") + _string(b"")
_CONTENTS = _string(b"contents")
_SYMLINK = _string(b"(") + _string(b"type") + _string(b"symlink") + _string(b"target")
_DIRECTORY = _string(b"(") + _string(b"type") + _string(b"directory")
_ENTRY = _string(b"entry") + _string(b"(") + _string(b"name")
_NODE = _string(b"node")


class ContentError(Exception):
    """The content on disk differs from its record in the database."""


def _ignore(_count: int) -> None:
    """Do nothing."""


def verify(
    store: str, name: str, digest: bytes, size: int, progress: Callable[[int], None] = _ignore
) -> None:
    """Raise ContentError unless the path ``name`` in ``store`` has this NAR hash and size.

    ``progress`` gets the number of bytes of each part as it is read.
    """
    directory = os.open(store, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        owner = os.fstat(directory).st_uid
        sink = _Sink(size, progress)
        sink.put(_MAGIC)
        _hash(sink, directory, os.fsencode(name), owner)
    except OSError as error:
        raise ContentError(error.strerror or str(error)) from error
    finally:
        os.close(directory)
    if sink.size != size:
        raise ContentError(f"expected a NAR of {size} bytes, got {sink.size}")
    if sink.digest() != digest:
        raise ContentError("the content differs from what was registered")


class _Sink:
    """Hash a NAR of at most ``limit`` bytes."""

    def __init__(self, limit: int, progress: Callable[[int], None]) -> None:
        self._hash: _Hash = hashlib.sha256()
        self._limit = limit
        self._progress = progress
        self.size = 0

    def require(self, count: int) -> None:
        """Raise ContentError unless ``count`` more bytes fit."""
        if self.size + count > self._limit:
            raise ContentError(f"expected a NAR of {self._limit} bytes, got more")

    def put(self, data: bytes) -> None:
        """Hash ``data``."""
        self.require(len(data))
        self._hash.update(data)
        self.size += len(data)
        self._progress(len(data))

    def digest(self) -> bytes:
        """Return the hash."""
        return self._hash.digest()


def _hash(sink: _Sink, directory: int, name: bytes, owner: int) -> None:
    """Hash one store path with an explicit stack: a path may be deeper than Python recurses."""
    stack: list[tuple[int, Iterator[bytes]]] = []
    try:
        child = _node(sink, directory, name, owner)
        if child is not None:
            stack.append(child)
        while stack:
            parent, left = stack[-1]
            entry = next(left, None)
            if entry is None:
                sink.put(_CLOSE)
                os.close(parent)
                stack.pop()
                if stack:
                    sink.put(_CLOSE)
                continue
            sink.put(_ENTRY + _string(entry) + _NODE)
            child = _node(sink, parent, entry, owner)
            if child is None:
                sink.put(_CLOSE)
            else:
                stack.append(child)
    finally:
        for descriptor, _ in stack:
            os.close(descriptor)


def _node(
    sink: _Sink, directory: int, name: bytes, owner: int
) -> tuple[int, Iterator[bytes]] | None:
    """Hash a file or a link completely; return a directory's descriptor and entries."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if status.st_uid != owner:
        raise ContentError(f"expected owner {owner}, got {status.st_uid}")
    if stat.S_ISLNK(status.st_mode):
        sink.put(_SYMLINK + _string(os.readlink(name, dir_fd=directory)) + _CLOSE)
        return None
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise ContentError("it has something else than files, directories and links")
    descriptor = os.open(name, _FLAGS, dir_fd=directory)
    try:
        opened = os.fstat(descriptor)
        if (opened.st_dev, opened.st_ino) != (status.st_dev, status.st_ino):
            raise ContentError("it changes while it is read")
        if stat.S_ISREG(opened.st_mode):
            _file(sink, descriptor, opened)
        else:
            sink.put(_DIRECTORY)
            entries = _entries(sink, descriptor)
            kept, descriptor = descriptor, -1
            return kept, iter(entries)
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return None


def _entries(sink: _Sink, descriptor: int) -> list[bytes]:
    """Return the sorted names in a directory, at most as many as the recorded size allows."""
    found: list[bytes] = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            found.append(os.fsencode(entry.name))
            sink.require(len(found) * len(_ENTRY))
    return sorted(found)


def _file(sink: _Sink, descriptor: int, status: os.stat_result) -> None:
    size = status.st_size
    sink.require(size)
    executable = _EXECUTABLE if status.st_mode & stat.S_IXUSR else b""
    sink.put(_REGULAR + executable + _CONTENTS + size.to_bytes(8, "little"))
    left = size
    while left and (chunk := os.read(descriptor, min(left, _CHUNK))):
        sink.put(chunk)
        left -= len(chunk)
    if left:
        raise ContentError("it changes while it is read")
    sink.put(bytes(-size % 8) + _CLOSE)
