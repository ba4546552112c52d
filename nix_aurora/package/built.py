"""Read a built package: its header, its list of files, and the content of a few of them."""

import hashlib
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rpm

from nix_aurora.errors import VerificationError
from nix_aurora.package.rpmfile import open_payload, read_header
from nix_aurora.store.tree import Tree
from nix_aurora.text import printable

OWN = "/usr/lib/nix-aurora"
PACKAGED_STORE = f"{OWN}/store"
MANIFEST = f"{OWN}/closure.json"
WRAPPER = "/usr/bin/nix"
SPEC = "nix-aurora.spec"
_KEPT = frozenset({MANIFEST, f"{OWN}/closure.env", WRAPPER, SPEC})
_CHUNK = 1 << 20
_LARGEST = 64 << 20  # bytes of a file that is kept; the payload's tar is about 2 MB


@dataclass(frozen=True, slots=True)
class Package:
    """An RPM or SRPM.

    ``digests`` are the SHA-256 in hex of every regular file, by name; ``contents`` are the bytes of
    the few files that checks read. ``scratch`` has the store of a binary package in ``store``, and
    the closures of a source package under their names.
    """

    path: Path
    header: Any  # rpm.hdr
    digests: dict[str, str]
    contents: dict[str, bytes]
    scratch: Path

    def files(self) -> Iterator[Any]:
        """Yield the header's entry for each file."""
        yield from rpm.files(self.header)

    def fault(self, subject: str, expected: str, got: str) -> VerificationError:
        """Return the error for a part of the package that is not as expected."""
        return VerificationError(
            f"cannot verify {self.path.name}: {printable(subject)}: "
            f"expected {expected}, got {printable(got)}"
        )


def read(path: Path, scratch: Path) -> Package:
    """Read the package at ``path``; unpack its larger parts into ``scratch``, an empty directory.

    Raises VerificationError if it cannot be read, or if its store is invalid.
    """
    try:
        with path.open("rb") as file:
            header = read_header(file)
            package = Package(path, header, {}, {}, scratch)
            with open_payload(file, header) as archive:
                _Reader(package, archive).read()
    except (rpm.error, OSError) as error:
        raise VerificationError(
            f"cannot verify {path.name}: expected a readable RPM, got: {error}"
        ) from error
    return package


class _Reader:
    """Read the payload once, from its start to its end."""

    def __init__(self, package: Package, archive: rpm.archive) -> None:
        self._package = package
        self._archive = archive
        self._is_source = package.header.isSource()
        self._store = Tree(package.scratch / "store")

    def read(self) -> None:
        later: list[rpm.file] = []  # the last of several hard links contains the content
        for entry in self._archive:
            if stat.S_ISREG(entry.mode) and not self._archive.hascontent():
                later.append(entry)
            else:
                self._add(entry)
        for entry in later:
            self._link(entry)

    def _add(self, entry: rpm.file) -> None:
        name, digest = entry.name, hashlib.sha256()
        regular = stat.S_ISREG(entry.mode)
        content = self._content(entry.size, digest.update) if regular else iter(())
        if (below := self._in_store(name)) is not None:
            self._add_to_store(entry, below, content)
        elif regular and (name in _KEPT or (self._is_source and name.startswith("payload-"))):
            if entry.size > _LARGEST:
                raise self._package.fault(name, f"at most {_LARGEST} bytes", str(entry.size))
            self._package.contents[name] = b"".join(content)
        elif regular and self._is_source and name.startswith("closure-"):
            with (self._package.scratch / Path(name).name).open("xb") as file:
                file.writelines(content)
        for _ in content:
            pass
        if regular:
            self._package.digests[name] = digest.hexdigest()

    def _add_to_store(self, entry: rpm.file, below: str, content: Iterator[bytes]) -> None:
        try:
            if stat.S_ISDIR(entry.mode):
                self._store.add_directory(below)
            elif stat.S_ISLNK(entry.mode):
                self._store.add_symlink(below, entry.linkto)
            elif stat.S_ISREG(entry.mode):
                executable = bool(entry.mode & stat.S_IXUSR)
                self._store.add_file(below, executable, content, entry.size)
            else:
                raise ValueError("expected a file, directory or link, got something else")  # noqa: TRY301
        except ValueError as error:
            raise self._refused(entry.name, error) from error

    def _link(self, entry: rpm.file) -> None:
        names = {each.name for each in entry.links} & self._package.digests.keys()
        if not names:
            raise self._package.fault(entry.name, "content", "a hard link to nothing")
        target = min(names)
        self._package.digests[entry.name] = self._package.digests[target]
        below, there = self._in_store(entry.name), self._in_store(target)
        if below is not None and there is not None:
            try:
                self._store.add_hard_link(below, there)
            except ValueError as error:
                raise self._refused(entry.name, error) from error

    def _content(self, size: int, update: Callable[[bytes], None]) -> Iterator[bytes]:
        while size > 0:
            piece = self._archive.read(min(size, _CHUNK))
            if not piece:
                raise OSError("the payload ends early")
            update(piece)
            size -= len(piece)
            yield piece

    def _in_store(self, name: str) -> str | None:
        """Return the name below the store; None for a file that is not in the store."""
        if self._is_source or not name.startswith(f"{PACKAGED_STORE}/"):
            return None
        below = name.removeprefix(f"{PACKAGED_STORE}/")
        if not {"", ".", ".."}.isdisjoint(below.split("/")):
            raise self._package.fault(name, "a plain path", "another")
        return below

    def _refused(self, name: str, error: ValueError) -> VerificationError:
        return VerificationError(
            f"cannot verify {self._package.path.name}: {printable(name)}: {error}"
        )
