"""Test reading ELF files, and isolating glibc from the host."""

import struct
from pathlib import Path

import pytest

from nix_aurora.errors import VerificationError
from sample import elf
from sample.target import ARCHITECTURES

_HEADER, _SEGMENT = 64, 56  # bytes
_DYNAMIC = 0x200  # the offset of the dynamic section in the file
_STRINGS = 0x400
_BASE = 0x10000  # addresses differ from offsets, as in real files


def _elf(
    *,
    machine: int = 62,
    interpreter: str | None = None,
    soname: str | None = None,
    needed: tuple[str, ...] = (),
    runpath: str | None = None,
) -> bytes:
    """Return the parts of an ELF file that decide how it is loaded."""
    strings = bytearray(b"\0")

    def text(value: str) -> int:
        strings.extend(value.encode() + b"\0")
        return len(strings) - len(value.encode()) - 1

    entries = [(1, text(name)) for name in needed]
    entries += [(14, text(soname))] if soname else []
    entries += [(29, text(runpath))] if runpath else []
    entries += [(5, _BASE + _STRINGS), (0, 0)]
    interpreter_at = _STRINGS + (text(interpreter) if interpreter else 0)
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    end = _STRINGS + len(strings)
    segments = [(1, 0, end), (2, _DYNAMIC, len(dynamic))]
    segments += [(3, interpreter_at, len(interpreter) + 1)] if interpreter else []
    data = bytearray(end)
    data[:16] = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    struct.pack_into("<HHIQQ", data, 16, 3, machine, 1, 0, _HEADER)
    struct.pack_into("<HHH", data, 52, _HEADER, _SEGMENT, len(segments))
    for index, (kind, offset, size) in enumerate(segments):
        place = _HEADER + index * _SEGMENT
        values = (kind, 4, offset, _BASE + offset, _BASE + offset, size, size, 8)
        struct.pack_into("<IIQQQQQQ", data, place, *values)
    data[_DYNAMIC : _DYNAMIC + len(dynamic)] = dynamic
    data[_STRINGS:end] = strings
    return bytes(data)


def test_program_is_read(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(
        _elf(interpreter="/lib/ld.so", needed=("libz.so.1", "libc.so.6"), runpath="/a:/b")
    )
    assert elf.read(file) == elf.Elf(
        machine=62,
        interpreter="/lib/ld.so",
        dynamic=True,
        soname=None,
        needed=("libz.so.1", "libc.so.6"),
        search_path=("/a", "/b"),
    )


def test_library_of_another_machine_is_read(tmp_path: Path) -> None:
    file = tmp_path / "library"
    file.write_bytes(_elf(machine=183, soname="libz.so.1"))
    found = elf.read(file)
    assert found is not None
    assert (found.machine, found.soname, found.interpreter, found.search_path) == (
        183,
        "libz.so.1",
        None,
        (),
    )


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01 32 bits"])
def test_other_files_are_not_elf(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)
    assert elf.read(file) is None


@pytest.mark.parametrize("size", [40, 100, _DYNAMIC + 8, _STRINGS + 2])
def test_malformed_file_is_refused(tmp_path: Path, size: int) -> None:
    file = tmp_path / "cut"
    file.write_bytes(_elf(needed=("libc.so.6",))[:size])
    with pytest.raises(VerificationError, match="malformed"):
        elf.read(file)


def test_find_skips_links_and_other_files(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/libz.so.1.3").write_bytes(_elf(soname="libz.so.1"))
    (tmp_path / "lib/libz.so.1").symlink_to("libz.so.1.3")
    (tmp_path / "lib/readme").write_text("text")
    assert [path.name for path, _ in elf.find(tmp_path)] == ["libz.so.1.3"]


def test_detached_glibc_contains_no_paths_of_the_host(tmp_path: Path) -> None:
    architecture = ARCHITECTURES["aarch64"]
    triplet = architecture.triplet
    loader = tmp_path / architecture.loader
    loader.write_bytes(
        b"\0/etc/ld.so.cache\0/etc/ld.so.preload\0"
        + f"/lib/{triplet}/\0/usr/lib/{triplet}/\0/lib/\0/usr/lib/\0".encode()
    )
    libc = tmp_path / "libc.so.6"
    libc.write_bytes(f"\0/usr/lib/{triplet}/gconv/gconv-modules.cache\0".encode())
    sizes = [file.stat().st_size for file in (loader, libc)]
    elf.detach_glibc(tmp_path, architecture)
    assert [file.stat().st_size for file in (loader, libc)] == sizes
    for file in (loader, libc):
        names = [name for name in file.read_bytes().split(b"\0") if name]
        assert all(name.startswith(b"/nix/") for name in names)
    with pytest.raises(VerificationError, match="detaching glibc"):
        elf.detach_glibc(tmp_path, architecture)
