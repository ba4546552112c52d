"""A replacement for the Determinate installer, whose tarball is as hard to find."""

import io
import lzma
import random
import tarfile
import zlib
from pathlib import Path

XZ_MAGIC = b"\xfd7zXZ\x00"
_FLAGS = b"\x00\x04"  # CRC64
_XZ_HEADER = XZ_MAGIC + _FLAGS + zlib.crc32(_FLAGS).to_bytes(4, "little")

# The header has the magic, 64 bits, little-endian, version 1, executable, x86_64; nothing reads the
# rest.
ELF = (b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + b"\x02\x00\x3e\x00\x01").ljust(64, b"\0")


def noise(size: int) -> bytes:
    """Return ``size`` bytes, always the same, that look like code."""
    return random.Random(size).randbytes(size)  # noqa: S311 - only to fill


def small_tar(name: str, content: bytes = b"content") -> bytes:
    """Return a tar with one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


# The installer contains this data beside the tarball, each at an odd offset.
BYSTANDERS = (
    ELF + noise(4097),
    b"another program: " + ELF + noise(2001) + XZ_MAGIC + noise(100),
    _XZ_HEADER + noise(333),  # a complete stream header without a stream
    lzma.compress(b"no archive"),
    b"x" + lzma.compress(small_tar("completions/nix.bash")),
    lzma.compress(bytes(10240)) + b"x",  # an empty tar
)


def build_installer(tarball: Path, destination: Path) -> None:
    """Write an installer that contains ``tarball`` (tar.xz) and much that only looks like it."""
    with destination.open("wb") as file:
        for part in BYSTANDERS:
            file.write(part)
        file.write(tarball.read_bytes())
        file.write(noise(12345) + XZ_MAGIC)
