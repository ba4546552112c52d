"""The source of a build: a Nix binary tarball on disk, and its origin."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from nix_aurora import files, log
from nix_aurora.errors import PinError, UsageError, VerificationError
from nix_aurora.release.cache import fetch, sweep
from nix_aurora.release.checks import check_sha256, check_url
from nix_aurora.release.installer import extract_tarball
from nix_aurora.release.pins import Artifact, Digest, Pins


class Kind(StrEnum):
    """The kind of a source; the value of a tarball is the suffix of its name."""

    INSTALLER = "installer"
    TAR_XZ = "tar.xz"
    TAR_ZST = "tar.zst"


class Origin(StrEnum):
    """The origin of a source."""

    RELEASE = "release"
    FILE = "file"
    URL = "url"


_MAGICS = {
    b"\x7fELF": Kind.INSTALLER,
    b"\xfd7zXZ\x00": Kind.TAR_XZ,
    b"\x28\xb5\x2f\xfd": Kind.TAR_ZST,  # RFC 8878, section 3.1.1
}


@dataclass(frozen=True)
class Source:
    """A verified tarball, with its origin.

    ``origin`` has ``kind`` (an Origin), ``name`` (the URL of a release, else a file name), and
    ``size`` and ``sha256`` of the given or downloaded file; if the tarball was inside an installer,
    also ``tarball_size`` and ``tarball_sha256``. Nothing in it depends on the machine.
    """

    tarball: Path
    origin: Mapping[str, str | int]


def kind(path: Path) -> Kind:
    """Return the kind of ``path``, by its first bytes.

    Raise VerificationError for an unknown kind.
    """
    with path.open("rb") as file:
        start = file.read(max(map(len, _MAGICS)))
    for magic, name in _MAGICS.items():
        if start.startswith(magic):
            return name
    raise VerificationError(
        f"cannot use the source: {path.name}: expected a Determinate installer (ELF) or a Nix "
        f"tarball (tar.xz, tar.zst), got a file that starts with {start.hex(' ') or 'nothing'}"
    )


def from_pins(pins: Pins, arch: str, cache: Path, *, offline: bool = False) -> Source:
    """Fetch the pinned release for ``arch`` and extract the tarball from its installer.

    Raises PinError, FetchError or VerificationError.
    """
    if arch not in pins.installer:
        raise PinError(
            f"pins.toml: installer: expected an entry for {arch}, got none",
            hint="make pins-update",
        )
    artifact = pins.installer[arch]
    installer = fetch(artifact, cache, offline=offline)
    return _resolve(installer, Origin.RELEASE, artifact.url, cache, pins.tarball.get(arch))


def from_argument(text: str, sha256: str | None, cache: Path, *, offline: bool = False) -> Source:
    """Return the installer or tarball at a path or an https URL as a source.

    A URL requires its ``sha256``; for a file it is checked if given. Raises UsageError, FetchError
    or VerificationError.
    """
    if sha256 is not None:
        try:
            check_sha256(sha256)
        except ValueError as error:
            raise UsageError(f"--sha256: {error}") from error
    if "://" in text:
        return _from_url(text, sha256, cache, offline=offline)
    path = Path(text)
    if not path.is_file():
        got = "something else" if path.exists() else "nothing there"
        raise UsageError(f"--source: {text}: expected a file or an https URL, got {got}")
    if not os.access(path, os.R_OK):
        raise UsageError(f"--source: {text}: expected a readable file, got: permission denied")
    if sha256 is not None and (got := files.sha256_file(path)) != sha256:
        raise VerificationError(f"--source: {text}: expected SHA-256 {sha256}, got {got}")
    return _resolve(path, Origin.FILE, path.name, cache)


def _from_url(url: str, sha256: str | None, cache: Path, *, offline: bool) -> Source:
    try:
        check_url(url)
    except ValueError as error:
        raise UsageError(f"--source: {error}", hint="--source PATH") from error
    if sha256 is None:
        raise UsageError(
            f"--source: {url}: expected --sha256 with its digest, got none",
            hint="--sha256 HEX",
        )
    path = fetch(Artifact(url, None, sha256), cache, offline=offline)
    name = Path(urlsplit(url).path).name
    return _resolve(path, Origin.URL, name, cache)


def _resolve(
    path: Path, came_from: Origin, name: str, cache: Path, pinned: Digest | None = None
) -> Source:
    given = _measure(path)
    origin: dict[str, str | int] = {
        "kind": came_from,
        "name": name,
        "size": given.size,
        "sha256": given.sha256,
    }
    if kind(path) is not Kind.INSTALLER:
        return Source(path, origin)
    tarball = cache / "tarballs" / f"{given.sha256}.tar.xz"
    inside = _extract(path, tarball, pinned)
    origin |= {"tarball_size": inside.size, "tarball_sha256": inside.sha256}
    return Source(tarball, origin)


def _extract(installer: Path, tarball: Path, pinned: Digest | None) -> Digest:
    """Extract the installer's tarball to ``tarball``, and return its digest.

    An earlier extraction is reused only if a pin vouches for it. Any other record of its digest
    would be in the same cache and prove nothing; extracting again takes seconds.
    """
    if pinned and tarball.is_file() and _measure(tarball) == pinned:
        return pinned
    sweep(tarball.parent)
    with log.step("taking the tarball out of the installer"), files.new_file(tarball) as temporary:
        extract_tarball(installer, temporary)
        found = _measure(temporary)
        if pinned and found != pinned:
            raise VerificationError(
                f"cannot extract the tarball: {installer.name}: "
                f"expected {pinned.size} bytes with SHA-256 {pinned.sha256}, "
                f"got {found.size} with {found.sha256}",
                hint="[tarball] in pins.toml is of another release than [installer]",
            )
    return found


def _measure(path: Path) -> Digest:
    return Digest(path.stat().st_size, files.sha256_file(path))
