"""Read compressed archives as one forward stream of bytes, with constant memory.

Formats: the .xz file format 1.1.0 (concatenated streams, with zeros between them), and RFC 8878
(concatenated Zstandard frames).
"""

import io
import lzma
from collections.abc import Callable, Iterator
from typing import BinaryIO

import zstandard

from nix_aurora.errors import VerificationError

CHUNK = 1 << 20  # bytes: the most that one read returns

_XZ_MAGIC = b"\xfd7zXZ\x00"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_XZ_MEMORY = 1 << 28  # bytes; decompressing xz -9 takes 65 MiB
_ZSTD_WINDOW = 1 << 27  # bytes; zstd --long needs more only if its user asked for more
_XZ_PIECE = 1 << 18  # compressed bytes that are read at once
# zstd's decoder returns everything that a piece unpacks to at once: at worst 128 KiB for 4 bytes.
_ZSTD_PIECE = 1 << 11


class Stream(io.BufferedIOBase):
    """The bytes inside ``file`` (.xz or .zst, by its content), read forward only.

    ``progress`` is called with the number of compressed bytes after each read. Every fault of the
    compressed data, including truncation and trailing garbage, raises VerificationError, which
    names ``subject``.
    """

    def __init__(self, file: BinaryIO, subject: str, progress: Callable[[int], None]) -> None:
        super().__init__()
        self._subject = subject
        self._chunks = self._unpack(file, progress)
        self._buffer = memoryview(b"")
        self._position = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return ``size`` bytes, at most 1 MiB; fewer only at the end."""
        if size is None or not 0 <= size <= CHUNK:
            raise self._fault(f"expected a read of 0 to {CHUNK} bytes", str(size))
        return self.take(size)

    def take(self, size: int) -> bytes:
        """Return ``size`` bytes, or fewer only at the end."""
        if size <= len(self._buffer):  # the usual case
            data = bytes(self._buffer[:size])
            self._buffer = self._buffer[size:]
        else:
            parts = []
            wanted = size
            while wanted and (self._buffer or self._fill()):
                part = self._buffer[:wanted]
                self._buffer = self._buffer[wanted:]
                wanted -= len(part)
                parts.append(part)
            data = b"".join(parts)
        self._position += len(data)
        return data

    def tell(self) -> int:
        """Return the number of bytes read."""
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        """Skip forward to ``position``, or to the end if that comes first."""
        if whence != io.SEEK_SET or position < self._position:
            raise self._fault("expected to read forward", f"position {position}")
        while self._position < position:
            if not self.take(min(position - self._position, CHUNK)):
                break
        return self._position

    def _fill(self) -> bool:
        self._buffer = memoryview(next(self._chunks, b""))
        return len(self._buffer) > 0

    def _unpack(self, file: BinaryIO, progress: Callable[[int], None]) -> Iterator[bytes]:
        magic = file.read(len(_XZ_MAGIC))
        file.seek(0)
        try:
            if magic == _XZ_MAGIC:
                yield from self._xz(_pieces(file, _XZ_PIECE, progress))
            elif magic.startswith(_ZSTD_MAGIC):
                yield from self._zstd(_pieces(file, _ZSTD_PIECE, progress))
            else:
                raise self._fault("expected a .tar.xz or .tar.zst", f"bytes '{magic.hex(' ')}'")
        except (lzma.LZMAError, zstandard.ZstdError) as error:
            raise self._fault("expected intact compressed data", str(error)) from error

    def _xz(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        decoder: lzma.LZMADecompressor | None = None
        for piece in pieces:
            rest = piece
            while True:
                if decoder is None:
                    rest = rest.lstrip(b"\0")
                    if not rest:
                        break
                    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
                if data := decoder.decompress(rest, CHUNK):
                    yield data
                rest = b""
                if decoder.eof:
                    rest, decoder = decoder.unused_data, None
                elif decoder.needs_input:
                    break
        if decoder is not None:
            raise self._truncated()

    def _zstd(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        decoder: zstandard.ZstdDecompressionObj | None = None
        for piece in pieces:
            rest = piece
            while rest:
                decoder = decoder or unpacker.decompressobj()
                if data := decoder.decompress(rest):
                    yield data
                rest = b""
                if decoder.eof:
                    rest, decoder = decoder.unused_data, None
        if decoder is not None:
            raise self._truncated()

    def _truncated(self) -> VerificationError:
        return self._fault("expected the end of the compressed data", "the end of a truncated file")

    def _fault(self, expected: str, got: str) -> VerificationError:
        return VerificationError(
            f"cannot decompress the closure: {self._subject}: {expected}, got {got}"
        )


def _pieces(file: BinaryIO, size: int, progress: Callable[[int], None]) -> Iterator[bytes]:
    while block := file.read(CHUNK):
        for start in range(0, len(block), size):
            yield block[start : start + size]
        progress(len(block))
