"""Packing a staged closure: closure.tar.zst and what describes it, the same bytes everywhere.

Formats: POSIX ustar, with pax headers for names that do not fit; RFC 8878 (Zstandard). It is one
tar archive, compressed in parts, a frame each, so that a host can unpack them side by side.
"""

import datetime
import itertools
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import zstandard

from nix_aurora import files, licences, log, manifest, sbom
from nix_aurora.errors import UsageError, VerificationError
from nix_aurora.shared import copy_shared
from nix_aurora.stage import Staged
from nix_aurora.text import printable

ARCHIVE = "closure.tar.zst"
LICENCES = "CLOSURE-LICENSES"
SHARED = "share"
_DESCRIPTIONS = ("closure.json", "closure.env", "closure.reginfo", "closure.spdx.json")
_OURS = frozenset({ARCHIVE, LICENCES, SHARED, *_DESCRIPTIONS})
_CHUNK = 1 << 20
_BLOCK = 512
_RECORD = 20 * _BLOCK  # what a tar archive's size is a multiple of, by default
_DISK_BLOCK = 4096  # bytes, of the usual file systems
_PARTS = 2  # as many as the processors that the smallest host has


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed closure.

    ``directory`` holds the archive, closure.json, closure.env, closure.reginfo, closure.spdx.json,
    CLOSURE-LICENSES, and in ``share`` what Nix has for /usr/share; ``archive_sha256`` is in hex,
    ``archive_size`` in bytes, ``origin`` what the staged closure had.
    """

    directory: Path
    archive: Path
    archive_sha256: str
    archive_size: int
    origin: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class _Member:
    path: bytes
    header: bytes
    size: int  # bytes of content
    is_file: bool
    is_store_path: bool  # itself, not what is in it

    @property
    def length(self) -> int:
        """The bytes that it has in the archive."""
        return len(self.header) + self.size + _padding(self.size, _BLOCK)


def pack(staged: Staged, destination_dir: Path, *, date: datetime.date, level: int = 19) -> Packed:
    """Pack ``staged`` into ``destination_dir``, which is replaced as a whole.

    ``date`` is what the SBOM says. The bytes depend on the closure, the origin, date, level and
    the version of libzstd, on nothing else. Raises UsageError where ``destination_dir`` holds
    files of others.
    """
    if destination_dir.is_dir():
        for entry in destination_dir.iterdir():
            if entry.name not in _OURS:
                raise UsageError(
                    f"packing the closure: {destination_dir}: expected a directory of its own, "
                    f"got one with {entry.name}"
                )
    with (
        log.step(f"Packing the closure of {staged.closure.name}"),
        files.new_directory(destination_dir) as fresh,
    ):
        members = list(_members(staged.root))
        parts = _write(members, fresh / ARCHIVE, level)
        written = manifest.Manifest(
            closure=staged.closure,
            profile=staged.profile,
            size=_size_on_disk(members),
            archive_name=ARCHIVE,
            archive_size=sum(parts),
            archive_parts=parts,
            archive_sha256=files.sha256_file(fresh / ARCHIVE),
            archive_blake2b=files.blake2b_file(fresh / ARCHIVE),
            origin=staged.origin,
        )
        manifest.write(written, fresh)
        found = licences.find(staged.closure.paths, staged.root / "store")
        document = sbom.render(staged.closure, found, date)
        (fresh / "closure.spdx.json").write_text(document, encoding="ascii")
        (fresh / LICENCES).write_text(licences.render(staged.closure, found), encoding="ascii")
        copy_shared(staged.closure, staged.root / "store", fresh / SHARED)
    return Packed(
        destination_dir,
        destination_dir / ARCHIVE,
        written.archive_sha256,
        written.archive_size,
        staged.origin,
    )


def _members(root: Path) -> Iterator[_Member]:
    """Give all members in byte order of their names, a directory's ending in ``/``."""
    yield from _walk(os.fsencode(root), b"store")


def _walk(base: bytes, name: bytes) -> Iterator[_Member]:
    yield _member(base, name)
    with os.scandir(base + b"/" + name) as entries:
        children = [
            (entry.name + b"/" if entry.is_dir(follow_symlinks=False) else entry.name)
            for entry in entries
        ]
    for child in sorted(children):
        if child.endswith(b"/"):
            yield from _walk(base, name + b"/" + child[:-1])
        else:
            yield _member(base, name + b"/" + child)


def _member(base: bytes, name: bytes) -> _Member:
    path = base + b"/" + name
    status = os.lstat(path)
    info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    info.mtime = 1
    info.mode = 0o555 if status.st_mode & stat.S_IXUSR else 0o444
    if stat.S_ISREG(status.st_mode):
        info.size = status.st_size
    elif stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
        info.mode = 0o555
    elif stat.S_ISLNK(status.st_mode):
        info.type = tarfile.SYMTYPE
        info.mode = 0o777
        info.linkname = os.readlink(path).decode("utf-8", "surrogateescape")  # noqa: PTH115
    else:
        raise VerificationError(
            f"packing the closure: {printable(info.name)}: expected a file, directory or symlink, "
            "got something else"
        )
    header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    return _Member(path, header, info.size, info.isreg(), name.count(b"/") == 1)


def _padding(size: int, unit: int) -> int:
    return -size % unit


def _divide(members: list[_Member]) -> list[list[_Member]]:
    """Divide the store paths among the parts, so that those are about the same size.

    The largest goes first, each to the part that is the smallest so far: whichever names they
    have, no part is larger than another by more than its smallest path.
    """
    directory, *rest = members
    starts = [at for at, member in enumerate(rest) if member.is_store_path]
    paths = [rest[start:end] for start, end in itertools.pairwise([*starts, None])]
    lengths = [_length(path) for path in paths]
    sizes = [0] * _PARTS
    part_of = [0] * len(paths)
    for number in sorted(range(len(paths)), key=lengths.__getitem__, reverse=True):
        part_of[number] = sizes.index(min(sizes))
        sizes[part_of[number]] += lengths[number]
    parts = [[directory], *([] for _ in range(1, _PARTS))]
    for path, part in zip(paths, part_of, strict=True):
        parts[part] += path
    return [part for part in parts if part]


def _length(members: list[_Member]) -> int:
    return sum(member.length for member in members)


def _write(members: list[_Member], archive: Path, level: int) -> list[int]:
    """Write the archive; give the bytes of each part."""
    content = _length(members)
    end = 2 * _BLOCK + _padding(content + 2 * _BLOCK, _RECORD)
    # With workers, be it one, zstd cuts its input into jobs: the output is then the same for any
    # number of them, but not the same as without. Smaller tables and jobs than the level's own,
    # and less that each job reads again of the one before, take 140 MiB with two workers instead
    # of 258, and three quarters of the time, for 0.5 % more output.
    usual = zstandard.ZstdCompressionParameters.from_level(level)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        chain_log=min(usual.chain_log, 23),
        hash_log=min(usual.hash_log, 21),
        job_size=16 << 20,
        overlap_log=7,  # a quarter of the window
        threads=os.cpu_count() or 1,
        write_content_size=True,
        write_checksum=True,
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    parts = _divide(members)
    ends = [0]
    with (
        archive.open("wb") as file,
        log.progress(f"packing {archive.name}", content) as done,
    ):
        for part in parts:
            rest = end if part is parts[-1] else 0
            size = _length(part) + rest
            # Not in a with: where a part is interrupted, its end would raise an error of its own.
            sink = compressor.stream_writer(file, size=size, closefd=False)
            for member in part:
                sink.write(member.header)
                if member.is_file:
                    _copy(member, sink)
                    sink.write(bytes(_padding(member.size, _BLOCK)))
                done(len(member.header) + member.size)
            sink.write(bytes(rest))
            sink.flush(zstandard.FLUSH_FRAME)
            ends.append(file.tell())
    return [end - start for start, end in itertools.pairwise(ends)]


def _copy(member: _Member, sink: zstandard.ZstdCompressionWriter) -> None:
    written = 0
    with open(member.path, "rb", buffering=0) as file:  # noqa: PTH123 - bytes
        while chunk := file.read(_CHUNK):
            written += len(chunk)
            sink.write(chunk)
    if written != member.size:
        raise VerificationError(
            f"packing the closure: {printable(os.fsdecode(member.path))}: "
            f"expected {member.size} bytes, got {written}"
        )


def _size_on_disk(members: list[_Member]) -> int:
    """Give the bytes that the members need: their content in whole blocks, a block per inode."""
    return sum(m.size + _padding(m.size, _DISK_BLOCK) + _DISK_BLOCK for m in members)
