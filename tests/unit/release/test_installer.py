import io
import lzma
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix_aurora.errors import VerificationError
from nix_aurora.release.installer import extract_tarball
from tests.standin import BYSTANDERS, ELF, build_installer, noise, small_tar

NAME = "nix-3.22.1-x86_64-linux"
TAR = small_tar(f"{NAME}/install", noise(50000))
TARBALL = lzma.compress(TAR)


def write(folder: Path, *parts: bytes) -> Path:
    path = folder / "installer"
    path.write_bytes(b"".join(parts))
    return path


def extracted(folder: Path, *parts: bytes) -> bytes:
    extract_tarball(write(folder, *parts), folder / "out.tar.xz")
    return (folder / "out.tar.xz").read_bytes()


def refused(folder: Path, *parts: bytes) -> str:
    """Return the message of an extraction that has to fail and to leave nothing."""
    installer = write(folder, *parts)
    with pytest.raises(VerificationError) as caught:
        extract_tarball(installer, folder / "out.tar.xz")
    assert list(folder.iterdir()) == [installer]
    return caught.value.message


def test_tarball_is_found_in_the_stand_in(tmp_path: Path) -> None:
    tarball = tmp_path / "nix.tar.xz"
    tarball.write_bytes(TARBALL)
    build_installer(tarball, tmp_path / "installer")
    extract_tarball(tmp_path / "installer", tmp_path / "out.tar.xz")
    assert (tmp_path / "out.tar.xz").read_bytes() == TARBALL


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_tarball_is_found_at_any_offset(
    tmp_path_factory: pytest.TempPathFactory, before: int, after: int
) -> None:
    folder = tmp_path_factory.mktemp("offset")
    assert extracted(folder, ELF, noise(before), TARBALL, noise(after)) == TARBALL


@pytest.mark.parametrize(
    "name",
    [
        NAME,
        f"{NAME}/.reginfo",
        "nix-2.35.2pre20260101_abcdef0-aarch64-linux/install",
        f"{NAME}/{'long/' * 40}",  # more than the 100 bytes of a plain header
    ],
)
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_tarball_may_begin_with_any_member(tmp_path: Path, name: str, format: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        member = tarfile.TarInfo(name)
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
        for number in range(50):
            member = tarfile.TarInfo(f"{NAME}/store/{number}")
            member.type = tarfile.SYMTYPE
            # the size of the target, which some archivers write although no data follows
            member.size = 1000
            member.linkname = "x" * (100 if format == tarfile.USTAR_FORMAT else 150)
            tar.addfile(member)
            data = noise(number * 100)
            member = tarfile.TarInfo(f"{NAME}/store/{number}.file")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    tarball = lzma.compress(buffer.getvalue())
    assert extracted(tmp_path, *BYSTANDERS, tarball, noise(10)) == tarball


@pytest.mark.parametrize(
    "name", ["nix-x86_64-linux/a", f"x/{NAME}/a", "nix-2.3-riscv64-linux/a", f"{NAME}-musl/a"]
)
def test_other_archives_are_not_the_tarball(tmp_path: Path, name: str) -> None:
    message = refused(tmp_path, ELF, lzma.compress(small_tar(name)))
    assert "expected a Nix tarball (tar.xz), got none in 1 xz streams" in message


def test_installer_without_tarball_is_refused(tmp_path: Path) -> None:
    # The magic without the rest of a header is not a stream.
    assert "got none in 4 xz streams" in refused(tmp_path, *BYSTANDERS)


@pytest.mark.parametrize("content", [b"", b"\xfd7zXZ", ELF, TARBALL[:12], TARBALL[:11]])
def test_tiny_file_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "got none in" in refused(tmp_path, content)


def test_two_tarballs_are_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, ELF, TARBALL, noise(7), TARBALL)
    second = len(ELF) + len(TARBALL) + 7
    assert f"expected one Nix tarball, got 2, at offsets {len(ELF)}, {second}" in message


@pytest.mark.parametrize("cut", [1, 100, 20000])
def test_truncated_tarball_is_refused(tmp_path: Path, cut: int) -> None:
    message = refused(tmp_path, *BYSTANDERS, TARBALL[:-cut])
    offset = sum(map(len, BYSTANDERS))
    assert f"expected an intact Nix tarball at offset {offset}, got: the file ends" in message


@pytest.mark.parametrize("position", [2000, 30000, -40, -20, -2])
def test_corrupt_tarball_is_refused(tmp_path: Path, position: int) -> None:
    damaged = bytearray(TARBALL)
    damaged[position] ^= 1
    message = refused(tmp_path, ELF, bytes(damaged), noise(5000))
    assert f"expected an intact Nix tarball at offset {len(ELF)}, got: " in message


def test_several_streams_are_one_tarball(tmp_path: Path) -> None:
    half = len(TAR) // 2
    tarball = lzma.compress(TAR[:half]) + lzma.compress(TAR[half:])
    foreign = lzma.compress(b"of somebody else")
    assert extracted(tmp_path, ELF, tarball, foreign) == tarball


def test_tarball_inside_the_tarball_is_part_of_it(tmp_path: Path) -> None:
    inner = lzma.compress(small_tar(f"{NAME}/install", noise(5000)))
    tar = small_tar(f"{NAME}/nix.tar.xz", inner)
    end = 512 + len(inner)
    tarball = b"".join(map(lzma.compress, (tar[:512], tar[512:end], tar[end:])))
    assert inner in tarball  # incompressible data is stored unchanged
    assert extracted(tmp_path, ELF, tarball, noise(10)) == tarball


def test_tar_without_its_end_is_refused(tmp_path: Path) -> None:
    """Each stream is complete, but the tar is not."""
    message = refused(tmp_path, ELF, lzma.compress(TAR[: len(TAR) // 2]), noise(5000))
    assert f"expected an intact Nix tarball at offset {len(ELF)}" in message


def test_damaged_tar_header_in_an_intact_stream_is_refused(tmp_path: Path) -> None:
    tar = small_tar(f"{NAME}/install", b"")[:512] + noise(512) + bytes(1024)
    message = refused(tmp_path, ELF, lzma.compress(tar))
    assert f"expected an intact Nix tarball at offset {len(ELF)}, got: invalid header" in message


def test_memory_of_the_decoder_is_limited(tmp_path: Path) -> None:
    """A file may request any amount: this one requests a dictionary of 512 MiB."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    tarball = bytearray(lzma.compress(TAR, filters=filters))
    assert tarball[16] == 16  # the .xz file format, section 5.3.1: 1 MiB
    tarball[16] = 34
    end = 12 + (tarball[12] + 1) * 4  # the end of the block header with its CRC32
    tarball[end - 4 : end] = zlib.crc32(tarball[12 : end - 4]).to_bytes(4, "little")
    assert "got none in 1 xz streams" in refused(tmp_path, ELF, bytes(tarball))


def test_extraction_of_a_large_tarball_needs_little_memory(tmp_path: Path) -> None:
    size = 96 << 20
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(f"{NAME}/zeros")
        member.size = size
        tar.addfile(member, io.BytesIO(bytes(size)))
    tarball = lzma.compress(buffer.getvalue(), preset=0)
    buffer.close()
    installer = write(tmp_path, ELF, noise(20 << 20), tarball, noise(1 << 20))
    tracemalloc.start()
    try:
        extract_tarball(installer, tmp_path / "out.tar.xz")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert (tmp_path / "out.tar.xz").read_bytes() == tarball
