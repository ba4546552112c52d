"""Read what ELF files load, and make them load it from the store.

Only 64-bit little-endian files are read, the format of both our architectures. pyelftools would be
one more dependency of every builder, for the six fields that the sample reads. Format: System V
ABI, chapters 4 and 5.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from nix_aurora.errors import VerificationError
from nix_aurora.run import run
from sample.target import Architecture

_MAGIC = b"\x7fELF\x02\x01"  # 64-bit, little-endian
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 14, 15, 29


class Elf(NamedTuple):
    """The fields of a file that decide how it is loaded."""

    machine: int
    interpreter: str | None  # the dynamic loader, if the file is executable
    dynamic: bool  # False for a static file, which needs nothing
    soname: str | None
    needed: tuple[str, ...]
    search_path: tuple[str, ...]  # RPATH or RUNPATH


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int  # in the file


def read(path: Path) -> Elf | None:
    """Read an ELF file; return None for any other, raise VerificationError if it is malformed."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return None
        file.seek(0)
        data = file.read()
    try:
        return _parse(data)
    except (struct.error, ValueError, StopIteration) as error:
        raise VerificationError(f"cannot read an ELF file: {path}: malformed: {error!r}") from error


def _parse(data: bytes) -> Elf:
    (machine,) = struct.unpack_from("<H", data, 18)
    segments = list(_segments(data))
    interpreter = dynamic = None
    for segment in segments:
        if segment.kind == _PT_INTERP:
            interpreter = _string(data, segment.offset)
        elif segment.kind == _PT_DYNAMIC:
            dynamic = segment
    if dynamic is None:
        return Elf(machine, interpreter, dynamic=False, soname=None, needed=(), search_path=())
    entries = list(_entries(data, dynamic))
    tables = [value for tag, value in entries if tag == _DT_STRTAB]
    if not tables:  # a static-pie program
        return Elf(machine, interpreter, dynamic=False, soname=None, needed=(), search_path=())
    strings = next(
        segment.offset + tables[0] - segment.address
        for segment in segments
        if segment.kind == _PT_LOAD and 0 <= tables[0] - segment.address < segment.size
    )

    def texts(*tags: int) -> list[str]:
        return [_string(data, strings + value) for tag, value in entries if tag in tags]

    return Elf(
        machine=machine,
        interpreter=interpreter,
        dynamic=True,
        soname=next(iter(texts(_DT_SONAME)), None),
        needed=tuple(texts(_DT_NEEDED)),
        search_path=tuple(
            directory for text in texts(_DT_RPATH, _DT_RUNPATH) for directory in text.split(":")
        ),
    )


def _segments(data: bytes) -> Iterator[_Segment]:
    (start,) = struct.unpack_from("<Q", data, 32)  # e_phoff
    size, count = struct.unpack_from("<HH", data, 54)  # e_phentsize, e_phnum
    for at in range(start, start + size * count, size):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", data, at)
        yield _Segment(kind, offset, address, length)


def _entries(data: bytes, dynamic: _Segment) -> Iterator[tuple[int, int]]:
    for at in range(dynamic.offset, dynamic.offset + dynamic.size, 16):
        tag, value = struct.unpack_from("<qQ", data, at)
        if tag == _DT_NULL:
            return
        yield tag, value


def _string(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()


def find(tree: Path) -> Iterator[tuple[Path, Elf]]:
    """Yield the dynamic ELF files in a tree, sorted; do not follow links."""
    for folder, folders, names in os.walk(tree):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                elf = read(path)
                if elf and elf.dynamic:
                    yield path, elf


def patch(path: Path, *, interpreter: str | None, directories: Sequence[str]) -> None:
    """Make the file load its libraries from ``directories``, with ``interpreter`` if executable."""
    words = ["--set-interpreter", interpreter] if interpreter else []
    run(["patchelf", *words, "--set-rpath", ":".join(directories), path])


def detach_glibc(folder: Path, architecture: Architecture) -> None:
    """Make the glibc in ``folder`` load nothing from the host.

    The loader contains compiled-in paths in which it looks for libraries that no RUNPATH finds, and
    libc.so.6 contains one for character set modules; in a Nix with another glibc the host's files
    would crash. Each is replaced by a path of the same length that does not exist. Raises
    VerificationError if one is missing: then this glibc needs a new inspection.
    """
    triplet = architecture.triplet
    loader = {
        "/etc/ld.so.cache\0": "/nix/ld.so.cache\0",
        "/etc/ld.so.preload\0": "/nix/ld.so.preload\0",
        f"/lib/{triplet}/\0/usr/lib/{triplet}/\0/lib/\0/usr/lib/\0": (
            f"/nix/{triplet}/\0/nix/lib/{triplet}/\0/nix/\0/nix/lib/\0"
        ),
    }
    libc = {f"/usr/lib/{triplet}/gconv": f"/nix/lib/{triplet}/gconv"}
    for name, replacements in ((architecture.loader, loader), ("libc.so.6", libc)):
        path = folder / name
        data = path.read_bytes()
        for old, new in replacements.items():
            if old.encode() not in data or len(old) != len(new):
                raise VerificationError(
                    f"detaching glibc: {path}: expected {old!r} in it, got none"
                )
            data = data.replace(old.encode(), new.encode())
        path.write_bytes(data)
