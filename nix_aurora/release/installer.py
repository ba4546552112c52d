"""Find the Nix binary tarball (tar.xz) inside the Determinate installer, which is an ELF.

nix-installer embeds it with ``include_bytes!`` (its ``src/distribution.rs``), so nothing names its
position: it is found by its xz magic and recognized by its decoded content. Other data in the
installer, such as determinate-nixd, has the magic too.
"""

import lzma
import mmap
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from nix_aurora import files
from nix_aurora.errors import VerificationError

_CHUNK = 1 << 20  # bytes decoded or copied at once
_MEMORY = 256 << 20  # for the xz decoder; xz -9 needs 65 MiB

# The .xz file format 1.2.1, section 2.1.1: magic, two bytes of flags, CRC32 of the flags.
_MAGIC = b"\xfd7zXZ\x00"
_HEADER_SIZE = 12
_CHECKS = {0x00, 0x01, 0x04, 0x0A}  # none, CRC32, CRC64, SHA-256 (section 2.1.1.2)

_BLOCK = 512  # of a tar
_WITHOUT_DATA = b"123456"  # type flags: links, devices, directory, fifo (POSIX pax, "ustar")
_PREFACE = b"xgLK"  # type flags: headers about the member that follows
_NIX = re.compile(r"nix-[0-9][^/]*-(x86_64|aarch64)-linux(/|$)")


def extract_tarball(installer: Path, destination: Path) -> None:
    """Write the Nix binary tarball inside ``installer`` to ``destination``, byte for byte.

    It is decoded to its end, with its checksums, before ``destination`` appears. Raises
    VerificationError if there is no tarball, more than one, or a damaged one.
    """
    found: list[tuple[int, int]] = []
    streams = 0
    with installer.open("rb") as file:
        if not installer.stat().st_size:  # an empty file cannot be mapped
            raise _nothing(installer, streams)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            position = data.find(_MAGIC)
            while position >= 0:
                end = position + 1
                if _is_header(data[position : position + _HEADER_SIZE]):
                    streams += 1
                    if tarball_end := _tarball_end(data, position, installer.name):
                        found.append((position, tarball_end))
                        end = tarball_end
                position = data.find(_MAGIC, end)
            if not found:
                raise _nothing(installer, streams)
            if len(found) > 1:
                offsets = ", ".join(str(start) for start, _ in found)
                raise VerificationError(
                    f"cannot extract the tarball: {installer.name}: expected one Nix tarball, "
                    f"got {len(found)}, at offsets {offsets}"
                )
            _copy(data, *found[0], destination)


def _nothing(installer: Path, streams: int) -> VerificationError:
    return VerificationError(
        f"cannot extract the tarball: {installer.name}: expected a Nix tarball (tar.xz), "
        f"got none in {streams} xz streams",
        hint="check that the file is Determinate's installer for Linux",
    )


def _copy(data: mmap.mmap, start: int, end: int, destination: Path) -> None:
    with files.new_file(destination) as temporary, temporary.open("wb") as file:
        for offset in range(start, end, _CHUNK):
            file.write(data[offset : min(offset + _CHUNK, end)])


def _is_header(header: bytes) -> bool:
    flags, crc = header[6:8], header[8:12]
    return (
        len(header) == _HEADER_SIZE
        and int.from_bytes(crc, "little") == zlib.crc32(flags)
        and flags[0] == 0
        and flags[1] in _CHECKS
    )


def _tarball_end(data: mmap.mmap, start: int, name: str) -> int | None:
    """Return the end of the Nix tarball that starts at ``start``, None if it is something else."""
    tar = _TarWalk()
    end = start
    try:
        # An xz file may consist of several streams; a tar ends only at its end marker.
        while not tar.ended:
            stream = _Stream(data, end)
            for piece in stream.decode():
                tar.feed(piece)
                if tar.first is not None and not _NIX.match(tar.first):
                    return None
            if tar.first is None:
                return None
            end = stream.end
    except (lzma.LZMAError, tarfile.HeaderError) as error:
        if tar.first is None:  # the magic is a coincidence, or this is not a tar
            return None
        raise VerificationError(
            f"cannot extract the tarball: {name}: "
            f"expected an intact Nix tarball at offset {start}, "
            f"got: {error}",
            hint="download the installer again",
        ) from error
    return end


class _Stream:
    """One xz stream, decoded in pieces; ``end`` is its end once all pieces were read."""

    def __init__(self, data: mmap.mmap, start: int) -> None:
        self._data = data
        self.end = start

    def decode(self) -> Iterator[bytes]:
        decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MEMORY)
        # small at first: an error discards the output of its call, perhaps with a name
        limit = _BLOCK
        while not decoder.eof:
            piece = b""
            if decoder.needs_input:
                piece = self._data[self.end : self.end + _CHUNK]
                if not piece:
                    raise lzma.LZMAError(f"the file ends within it, at offset {self.end}")
                self.end += len(piece)
            yield decoder.decompress(piece, max_length=limit)
            limit = min(2 * limit, _CHUNK)
        self.end -= len(decoder.unused_data)


class _TarWalk:
    """Follow the headers of a tar that is fed in pieces.

    ``first`` is the name of its first member, ``ended`` becomes true at its end marker. tarfile
    itself silently takes a damaged header in the middle for the end.
    """

    def __init__(self) -> None:
        self.first: str | None = None
        self.ended = False
        self._header = bytearray()
        self._skip = 0  # bytes up to the next header

    def feed(self, data: bytes) -> None:
        """Process the next bytes; raise tarfile.HeaderError if they are not part of a tar."""
        position = 0
        while position < len(data) and not self.ended:
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
            else:
                step = min(_BLOCK - len(self._header), len(data) - position)
                self._header += data[position : position + step]
                if len(self._header) == _BLOCK:
                    self._member(bytes(self._header))
                    self._header.clear()
            position += step

    def _member(self, header: bytes) -> None:
        if not any(header):
            self.ended = True
            return
        # This verifies the checksum.
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        if member.size < 0:
            raise tarfile.HeaderError("a member of negative size")
        if member.type not in _PREFACE and self.first is None:
            self.first = member.name
        if member.type not in _WITHOUT_DATA:
            self._skip = -(-member.size // _BLOCK) * _BLOCK
