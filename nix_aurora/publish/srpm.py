"""Choose the source package for COPR, and check that it may be uploaded there."""

import tarfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from nix_aurora.errors import UsageError, VerificationError
from nix_aurora.package.rpmfile import open_payload, read_header
from nix_aurora.package.verify import verify


def built_srpm(built: Path) -> Path:
    """Return the one source package in ``built``."""
    found = sorted(built.glob("*.src.rpm"))
    if len(found) != 1:
        raise UsageError(
            f"--srpm: expected one source package in {built}, got {len(found)}",
            hint="build.py srpm --arch x86_64 --arch aarch64",
        )
    return found[0]


def check_arches(srpm: Path, arches: Sequence[str], chroots: Sequence[str]) -> None:
    """Check that the SRPM contains each architecture of ``chroots``."""
    missing = {chroot.rpartition("-")[2] for chroot in chroots} - set(arches)
    if missing:
        raise UsageError(
            f"cannot publish {srpm.name}: "
            f"expected closures for {', '.join(sorted(missing))} as well, "
            f"got those for {', '.join(sorted(arches))}",
            hint="build.py srpm --arch x86_64 --arch aarch64",
        )


def check_srpm(path: Path) -> tuple[str, ...]:
    """Check that the SRPM is valid and may go to COPR; return its architectures."""
    verify(path)
    for name in _names(path):
        if "nixd" in name.rpartition("/")[2]:
            raise VerificationError(
                f"cannot publish {path.name}: {name}: expected free software alone, got what looks "
                "like determinate-nixd",
                hint="build.py srpm",
            )
    with path.open("rb") as file:
        return tuple(read_header(file)["exclusivearch"])


def _names(path: Path) -> Iterator[str]:
    """Yield the names of an SRPM's files, and of the files that its payloads install."""
    with path.open("rb") as file, open_payload(file, read_header(file)) as archive:
        for entry in archive:
            yield entry.name
            if entry.name.startswith("payload-"):
                with tarfile.open(fileobj=BytesIO(archive.read(entry.size)), mode="r:") as members:
                    yield from members.getnames()
