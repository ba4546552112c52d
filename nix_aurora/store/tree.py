"""Write a tree of store paths member by member, and never through a link.

Names are relative to the tree, with ``/`` between plain components; the caller must ensure this.
Methods raise ValueError with ``expected X, got Y`` if a member does not fit, or if an RPM cannot
contain it.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from nix_aurora.errors import quoted
from nix_aurora.store import links, names
from nix_aurora.store.paths import STORE

MTIME = (1, 1)  # seconds: the mtime of everything in a Nix store
_MAX_HARD_LINKS = 32_000  # per file; ext4 allows at most 65,000, and btrfs 65,535 in a directory
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Tree:
    """A new directory at ``root``, and its content."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        root.chmod(0o755)  # independent of the umask
        # All names are bytes, so that they do not depend on the locale.
        self._root = os.fsencode(root) + b"/"
        self._files: dict[str, int] = {}  # sizes in bytes
        self._directories: dict[str, bytes] = {}
        self._links: dict[str, str] = {}  # targets

    def add_directory(self, name: str) -> None:
        """Create a directory, which stays writable until ``finish``."""
        path = self._place(name, directory=True)
        os.mkdir(path, 0o700)  # noqa: PTH102 - bytes
        self._directories[name] = path

    def add_file(self, name: str, executable: bool, content: Iterable[bytes], size: int) -> None:
        """Write a file of ``size`` bytes."""
        descriptor = os.open(self._place(name), _NEW, 0o600)
        try:
            for piece in content:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            os.fchmod(descriptor, 0o555 if executable else 0o444)
            os.utime(descriptor, MTIME)
        finally:
            os.close(descriptor)
        self._files[name] = size

    def add_hard_link(self, name: str, target: str) -> int:
        """Link to the file ``target`` of this tree, and return its size in bytes."""
        if target not in self._files:
            raise ValueError(
                f"expected a hard link to a file unpacked before, got {quoted(target)}"
            )
        path, source = self._place(name), self._root + _bytes(target)
        if os.lstat(source).st_nlink > _MAX_HARD_LINKS:
            raise ValueError(f"expected at most {_MAX_HARD_LINKS} hard links to one file, got more")
        os.link(source, path, follow_symlinks=False)
        self._files[name] = self._files[target]
        return self._files[target]

    def add_symlink(self, name: str, target: str) -> None:
        """Create a link that stays inside the store, if it is taken literally."""
        path = self._place(name)
        names.check_target(target)
        if _escapes(name, target):
            raise ValueError(f"expected a link inside {STORE}, got {quoted(target)}, which escapes")
        os.symlink(_bytes(target), path)  # noqa: PTH211 - bytes
        os.utime(path, MTIME, follow_symlinks=False)
        self._links[name] = target

    def broken_links(self) -> Iterator[tuple[str, str]]:
        """Yield each link that rpmbuild could not describe, and the reason."""
        for name in self._links:
            if fault := links.fault(name, self._links, self._files):
                yield name, fault

    def finish(self) -> None:
        """Set the mode and the mtime of the directories, as Nix does."""
        for path in self._directories.values():
            os.chmod(path, 0o555)  # noqa: PTH101, S103 - bytes; nobody may write
            os.utime(path, MTIME)

    def _place(self, name: str, *, directory: bool = False) -> bytes:
        """Return the path of ``name``, which must be new and in a directory of this tree."""
        if name in self._files or name in self._directories or name in self._links:
            raise ValueError("expected each member once, got it a second time")
        parent, separator, last = name.rpartition("/")
        names.check_name(last, directory=directory)
        if separator and parent not in self._directories:
            if parent in self._links:
                raise ValueError("expected a directory as parent, got a symlink")
            if parent in self._files:
                raise ValueError("expected a directory as parent, got a file")
            raise ValueError("expected its directory to come before it, got none")
        return self._root + _bytes(name)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _escapes(name: str, target: str) -> bool:
    """Return whether a link ``name`` to ``target`` leaves the store, or is the store itself."""
    if target.startswith("/"):
        if not target.startswith(STORE + "/"):
            return True
        depth, components = 0, target[len(STORE) :].split("/")
    else:
        depth, components = name.count("/"), target.split("/")
    for component in components:
        if component == "..":
            depth -= 1
        elif component not in {"", "."}:
            depth += 1
        if depth < 0:
            return True
    return depth == 0
