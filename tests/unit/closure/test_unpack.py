import contextlib
import lzma
import os
import stat
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from nix_aurora.closure import archive
from nix_aurora.closure import unpack as module
from nix_aurora.closure.unpack import unpack
from nix_aurora.errors import VerificationError
from tests.closures import (
    LIBC,
    LINK,
    NIX,
    SCRIPT,
    TOP,
    File,
    Link,
    Member,
    Sample,
    make_tarball,
    member,
    register,
)


@pytest.mark.parametrize("compression", ["xz", "zst"])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_tree_is_canonical(tmp_path: Path, compression: str, umask: int) -> None:
    tarball = make_tarball(tmp_path / "t", compression=compression)
    former = os.umask(umask)
    try:
        unpacked = unpack(tarball, tmp_path)
    finally:
        os.umask(former)
    store = tmp_path / "store"
    assert stat.filemode(store.stat().st_mode) == "drwxr-xr-x"
    for path in store.rglob("*"):
        status = path.lstat()
        assert status.st_mtime == 1
        if stat.S_ISDIR(status.st_mode):
            assert stat.S_IMODE(status.st_mode) == 0o555
    assert stat.filemode((store / SCRIPT).stat().st_mode) == "-r-xr-xr-x"
    assert stat.filemode((store / LIBC / "lib/é.txt").stat().st_mode) == "-r--r--r--"
    assert (store / LIBC / "lib/libc.so.6").read_bytes() == bytes(5000)
    assert str((store / LINK).readlink()) == f"/nix/store/{LIBC}/lib/libc.so.6"
    assert str((store / NIX / "bin/nix-build").readlink()) == "nix"
    assert unpacked.name == TOP
    assert unpacked.scripts.keys() == {"install", "install-multi-user"}
    assert unpacked.scripts["install"] == Sample().install
    assert unpacked.reginfo == register(Sample())
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["store", "t"]


def test_hard_links_are_unpacked(tmp_path: Path) -> None:
    target = f"{TOP}/store/{LIBC}/lib/libc.so.6"
    link = member(f"{TOP}/store/{LIBC}/new", type=tarfile.LNKTYPE, linkname=target)

    def mutate(sample: Sample) -> None:
        sample.members.append(lambda members: members.append(link))

    unpack(make_tarball(tmp_path / "t", mutate=mutate), tmp_path)
    new = tmp_path / "store" / LIBC / "new"
    assert new.samefile(new.parent / "lib/libc.so.6")


def test_several_xz_streams_and_padding_are_read(tmp_path: Path) -> None:
    def split(data: bytes) -> bytes:
        plain = lzma.decompress(data)
        return b"".join(lzma.compress(part) + bytes(8) for part in (plain[:700], plain[700:]))

    def mutate(sample: Sample) -> None:
        sample.compressed = split

    assert unpack(make_tarball(tmp_path / "t", mutate=mutate), tmp_path).name == TOP


def test_several_zstd_frames_are_read(tmp_path: Path) -> None:
    def split(data: bytes) -> bytes:
        plain = zstandard.decompress(data)
        return b"".join(map(zstandard.compress, (plain[:700], b"", plain[700:])))

    def mutate(sample: Sample) -> None:
        sample.compressed = split

    tarball = make_tarball(tmp_path / "t", compression="zst", mutate=mutate)
    assert unpack(tarball, tmp_path).name == TOP


@pytest.mark.parametrize("style", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_are_read(tmp_path: Path, style: Literal[1, 2]) -> None:
    long = member(f"{TOP}/store/{LIBC}/{'long' * 40}", File(b"x"))
    header = long.info.tobuf(style)

    def mutate(sample: Sample) -> None:
        sample.tar = lambda data: (
            data.rstrip(b"\0")
            + bytes(-len(data.rstrip(b"\0")) % 512)
            + header
            + b"x".ljust(512, b"\0")
            + bytes(1024)
        )

    unpack(make_tarball(tmp_path / "t", mutate=mutate), tmp_path)
    assert (tmp_path / "store" / LIBC / ("long" * 40)).read_bytes() == b"x"


def test_names_that_an_rpm_can_contain_are_accepted(tmp_path: Path) -> None:
    """Names must be UTF-8 without control characters, and at most as long as rpm allows."""
    names = [
        "-rf",
        " ",
        "a%b",
        "%{nil}",
        "[x]*?",
        "{a,b}",
        "\"'\\",
        "$x`y`",
        "é\u202e\u0085",
        "x" * 246,
    ]

    def mutate(sample: Sample) -> None:
        libc = sample.store[LIBC]
        assert isinstance(libc, dict)
        libc |= {name: File(b"x") for name in names}
        libc |= {"d" * 255: {}, "dangling": Link("nowhere\n"), "dot": Link(".")}

    unpack(make_tarball(tmp_path / "t", mutate=mutate), tmp_path)
    found = {path.name for path in (tmp_path / "store" / LIBC).iterdir()}
    assert found >= {*names, "d" * 255, "dangling", "dot"}


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 6)
    with pytest.raises(
        VerificationError, match=f"{NIX}/bin/nix: expected at most 6 members, got more"
    ):
        unpack(make_tarball(tmp_path / "t"), tmp_path)


def test_too_large_closure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CLOSURE_SIZE", 4000)
    with pytest.raises(VerificationError, match=r"libc\.so\.6: expected at most 4000 bytes in all"):
        unpack(make_tarball(tmp_path / "t"), tmp_path)


def test_hard_links_count_towards_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CLOSURE_SIZE", 20_000)
    target = f"{TOP}/store/{LIBC}/lib/libc.so.6"

    def links(members: list[Member]) -> None:
        for number in range(4):
            name = f"{TOP}/store/{LIBC}/new{number}"
            members.append(member(name, type=tarfile.LNKTYPE, linkname=target))

    def mutate(sample: Sample) -> None:
        sample.members.append(links)

    with pytest.raises(VerificationError, match="expected at most 20000 bytes in all"):
        unpack(make_tarball(tmp_path / "t", mutate=mutate), tmp_path)


@pytest.mark.parametrize("compression", ["xz", "zst"])
def test_too_many_zeros_at_the_end_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    monkeypatch.setattr(archive, "_MAX_PADDING", 100_000)

    def mutate(sample: Sample) -> None:
        sample.tar = lambda data: data + bytes(200_000)

    tarball = make_tarball(tmp_path / "t", compression=compression, mutate=mutate)
    with pytest.raises(VerificationError, match="expected nothing after the archive"):
        unpack(tarball, tmp_path)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    """After a change of any bytes, only our errors occur, and only the store is written."""

    def damage(plain: bytes) -> bytes:
        changed = bytearray(plain)
        for _ in range(data.draw(st.integers(1, 3))):
            changed[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
        return bytes(changed)

    def mutate(sample: Sample) -> None:
        sample.tar = damage

    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "root"
        root.mkdir()
        # check() finds the faults that unpack() accepts
        with contextlib.suppress(VerificationError):
            unpack(make_tarball(Path(directory) / "t", compression="zst", mutate=mutate), root)
        assert sorted(entry.name for entry in Path(directory).iterdir()) == ["root", "t"]
        assert [entry.name for entry in root.iterdir()] == ["store"]
