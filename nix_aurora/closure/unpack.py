"""Unpack a Nix binary tarball: ``<top>/{install*,*.sh,.reginfo,store/…}``.

Source: nix `packaging/binary-tarball.nix`, which names the top directory
``nix-<version>-<system>``. Nix's own installer accepts any name there, and so does this module. The
archive is treated as hostile: each member is checked before anything is written, and only
directories that this module created are written to.
"""

import hashlib
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nix_aurora import log
from nix_aurora.closure.archive import Archive, fault
from nix_aurora.errors import VerificationError, quoted
from nix_aurora.store.paths import is_store_name
from nix_aurora.store.tree import Tree
from nix_aurora.text import printable

MAX_CLOSURE_SIZE = 8 << 30  # bytes of all files together
MAX_MEMBERS = 250_000
# Later code walks the tree recursively, with paths of at most about 2 KiB.
_MAX_DEPTH = 100
_MAX_NAME = 2048  # bytes
_MAX_NAMES = 64 << 20  # bytes of all names together, since they are kept in memory
_SPECIAL_BITS = 0o7000  # setuid, setgid, sticky
_WANTED = {"install": 1 << 20, "install-multi-user": 1 << 20, ".reginfo": 64 << 20}  # size limits


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The content of a tarball other than its store.

    ``name`` is its top directory, usually ``nix-3.22.1-x86_64-linux``; ``scripts`` are the texts of
    install and, if it exists, install-multi-user; ``reginfo`` is the text of .reginfo; ``sha256``
    is that of the tarball, in hex.
    """

    name: str
    scripts: Mapping[str, str]
    reginfo: str
    sha256: str


def unpack(tarball: Path, root: Path) -> Unpacked:
    """Unpack ``tarball`` (.tar.xz or .tar.zst, by content) into a new ``root/store``.

    Modes become 0444, or 0555 for executables and directories (``store`` itself stays 0755), and
    mtimes 1, as in any Nix store; the caller becomes the owner. Raises VerificationError, naming
    the member, for anything that such a tarball never contains; the caller removes what was written
    until then.
    """
    size = tarball.stat().st_size
    with (
        tarball.open("rb", buffering=0) as file,
        log.progress(f"unpacking {tarball.name}", size) as done,
    ):
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        archive = Archive(file, tarball.name, done)
        unpacker = _Unpacker(archive, Tree(root / "store"))
        for member in archive.members():
            unpacker.add(member)
    return unpacker.finish(tarball.name, sha256)


class _Unpacker:
    """Check each member, and write it."""

    def __init__(self, archive: Archive, tree: Tree) -> None:
        self._archive = archive
        self._tree = tree
        self._top: str | None = None
        self._beside: set[str] = set()  # names in the top directory
        self._texts: dict[str, bytes] = {}
        self._members = 0
        self._size = 0
        self._names = 0  # bytes

    def add(self, member: tarfile.TarInfo) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise fault(member.name, f"expected at most {MAX_MEMBERS} members", "more")
        self._names += len(_bytes(member.name))
        if self._names > _MAX_NAMES:
            raise fault(member.name, f"expected at most {_MAX_NAMES} bytes of names", "more")
        top, *rest = _components(member.name)
        self._top = self._top or top
        if top != self._top:
            raise fault(member.name, f"expected everything in {printable(self._top)}/", top)
        self._check_kind(member)
        if not rest or rest == ["store"]:
            self._add_own_directory(member, rest)
        elif rest[0] == "store":
            self._add_to_store(member, rest[1:])
        elif len(rest) == 1:
            self._add_text(member, rest[0])
        else:
            raise fault(member.name, "expected only store/ to have content", "a nested member")

    def finish(self, subject: str, sha256: str) -> Unpacked:
        """Set the final modes of the tree and return the texts."""
        for name in ("install", ".reginfo"):
            if name not in self._texts:
                raise fault(subject, f"expected a file {name} at its top", "none")
        top = self._top or ""
        if broken := next(self._tree.broken_links(), None):
            link, problem = broken
            name = f"{top}/store/{link}"
            raise VerificationError(f"cannot unpack the tarball: {printable(name)}: {problem}")
        self._tree.finish()
        try:
            reginfo = self._texts.pop(".reginfo").decode("ascii")
        except UnicodeDecodeError as error:
            raise fault(f"{top}/.reginfo", "expected ASCII", str(error)) from error
        scripts = {name: text.decode(errors="replace") for name, text in self._texts.items()}
        return Unpacked(top, scripts, reginfo, sha256)

    def _check_kind(self, member: tarfile.TarInfo) -> None:
        if member.issparse():
            raise fault(member.name, "expected a plain file", "a sparse file")
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            kinds = {tarfile.FIFOTYPE: "a fifo"}
            kind = "a device" if member.isdev() else f"type {quoted(member.type.decode('latin-1'))}"
            kind = kinds.get(member.type, kind)
            raise fault(member.name, "expected a file, directory or link", kind)
        if member.mode & _SPECIAL_BITS:
            raise fault(
                member.name, "expected no setuid, setgid or sticky bit", f"mode {member.mode:04o}"
            )
        if member.isreg():
            self._count(member.name, member.size)

    def _count(self, name: str, size: int) -> None:
        self._size += size
        if size < 0 or self._size > MAX_CLOSURE_SIZE:
            raise fault(name, f"expected at most {MAX_CLOSURE_SIZE} bytes in all", "more")

    def _add_own_directory(self, member: tarfile.TarInfo, rest: list[str]) -> None:
        name = "/".join(rest)
        if not member.isdir():
            raise fault(member.name, "expected a directory", "something else")
        if name in self._beside:
            raise fault(member.name, "expected each member once", "it a second time")
        self._beside.add(name)

    def _add_text(self, member: tarfile.TarInfo, name: str) -> None:
        if not member.isreg():
            raise fault(member.name, "expected only regular files beside store/", "another kind")
        if name in self._beside:
            raise fault(member.name, "expected each member once", "it a second time")
        self._beside.add(name)
        if (limit := _WANTED.get(name)) is None:
            return
        if member.size > limit:
            raise fault(member.name, f"expected at most {limit} bytes", f"{member.size}")
        self._texts[name] = b"".join(self._archive.content(member.size))

    def _add_to_store(self, member: tarfile.TarInfo, rest: list[str]) -> None:
        if not is_store_name(rest[0]):
            raise fault(member.name, "expected a store path's name", quoted(rest[0]))
        name = "/".join(rest)
        try:
            if member.isdir():
                self._tree.add_directory(name)
            elif member.issym():
                self._tree.add_symlink(name, member.linkname)
            elif member.islnk():
                self._count(member.name, self._tree.add_hard_link(name, self._in_store(member)))
            else:
                executable = bool(member.mode & 0o100)
                self._tree.add_file(
                    name, executable, self._archive.content(member.size), member.size
                )
        except ValueError as error:
            raise VerificationError(
                f"cannot unpack the tarball: {printable(member.name)}: {error}"
            ) from error

    def _in_store(self, member: tarfile.TarInfo) -> str:
        prefix = f"{self._top}/store/"
        if not member.linkname.startswith(prefix):
            shown = printable(prefix)
            raise fault(member.name, f"expected a hard link into {shown}", quoted(member.linkname))
        return member.linkname[len(prefix) :]


def _components(name: str) -> list[str]:
    if name.startswith("/"):
        raise fault(name, "expected a relative name", "an absolute one")
    if "\0" in name or "\n" in name:
        raise fault(name, "expected a name without NUL and newline", "one with them")
    components = name.split("/")
    if len(components) > _MAX_DEPTH or len(_bytes(name)) > _MAX_NAME:
        raise fault(
            name[:100],
            f"expected at most {_MAX_DEPTH} components and {_MAX_NAME} bytes",
            "a longer name",
        )
    for component in components:
        if component in {"", ".", ".."}:
            raise fault(name, "expected a plain path", f"a component {quoted(component)}")
        if len(_bytes(component)) > 255:
            raise fault(name, "expected components of at most 255 bytes", "a longer one")
    return components


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
