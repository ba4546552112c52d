"""Pin another release in pins.toml: look it up, download it, measure it, and only then write."""

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from nix_aurora import log
from nix_aurora.errors import FetchError, PinError, UsageError, VerificationError, quoted
from nix_aurora.release import elf, pins
from nix_aurora.release.cache import fetch_unpinned
from nix_aurora.release.pins import ARCHES, Artifact, Digest, Pins
from nix_aurora.release.releases import Release, find_release, find_upstream
from nix_aurora.release.replacement import replace_text
from nix_aurora.release.source import from_pins

REPOSITORY = "DeterminateSystems/nix-installer"
NIXD = "https://install.determinate.systems/determinate-nixd"


@dataclass(frozen=True, slots=True)
class Bump:
    """A requested change of the pins.

    ``version`` is None for the newest release; with ``dry_run`` nothing is written; ``github`` and
    ``nixd`` are the base URLs of releases and of determinate-nixd.
    """

    version: str | None
    dry_run: bool
    github: str
    nixd: str


def bump(path: Path, wanted: Bump, cache: Path) -> list[str]:
    """Pin a release in the pins.toml at ``path``.

    Returns that path if the file has changed; with ``dry_run`` the difference instead; and an empty
    list if nothing changes. If PinError, FetchError or VerificationError is raised, the file is
    unchanged.
    """
    pinned = pins.load(path)
    date = _today()
    release = _choose(pinned, wanted, path.name)
    if release is None:
        return []
    found = _measure(pinned, release, wanted, date, cache)
    text = pins.rewrite(path.read_text(encoding="utf-8"), found)

    def check(written: Path) -> None:
        if pins.load(written) != found:
            raise PinError(f"{path.name}: expected to write what was measured, got something else")

    result = replace_text(path, text, dry_run=wanted.dry_run, check=check)
    if not result:
        log.info(f"{path.name}: release {found.version}: pinned as it is: nothing to do")
    elif not wanted.dry_run:
        log.info(f"{path.name}: release {found.version}, formerly {pinned.version}")
    return result


def _today() -> datetime.date:
    """Return the date in UTC, or the date of SOURCE_DATE_EPOCH."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return datetime.datetime.now(datetime.UTC).date()
    try:
        return datetime.datetime.fromtimestamp(int(text), datetime.UTC).date()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"SOURCE_DATE_EPOCH: expected seconds, got {quoted(text)}") from error


def _choose(pinned: Pins, wanted: Bump, name: str) -> Release | None:
    """Return the release to pin; None if it is already pinned and was not requested by version."""
    release = find_release(REPOSITORY, wanted.version, wanted.github)
    if release is None:
        newest = find_release(REPOSITORY, None, wanted.github) if wanted.version else None
        raise FetchError(
            f"cannot ask GitHub: {REPOSITORY}: expected a release {wanted.version or ''}".rstrip()
            + ", got none",
            hint=f"the newest is {newest.version}" if newest else None,
        )
    if wanted.version is None and release.version == pinned.version:
        log.info(f"{name}: release {pinned.version} is the newest: nothing to do")
        return None
    if wanted.version is None and _numbers(release.version) < _numbers(pinned.version):
        raise PinError(
            f"{name}: release.version: expected at most the newest, {release.version}, "
            f"got {pinned.version}",
            hint=f"build.py pins update --version {release.version}",
        )
    return release


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def _measure(
    pinned: Pins, release: Release, wanted: Bump, date: datetime.date, cache: Path
) -> Pins:
    """Download all pinned files of a release, and return the pins for it."""
    nixd = wanted.nixd.rstrip("/")
    found = replace(
        pinned,
        version=release.version,
        nix=_upstream(pinned, release.version, wanted.github),
        installer=MappingProxyType({arch: _installer(release, arch, cache) for arch in ARCHES}),
        nixd=MappingProxyType(
            {
                arch: _learn(f"{nixd}/tag/v{release.version}/{arch}-linux", arch, cache)
                for arch in ARCHES
            }
        ),
        tarball=MappingProxyType({}),
    )
    # The tarball is extracted again, whatever is pinned.
    tarball = MappingProxyType({arch: _tarball(found, arch, cache) for arch in ARCHES})
    found = replace(found, tarball=tarball)
    if release.version != pinned.version:
        return replace(found, package_release=1, date=date)
    _check_unchanged(pinned, found)
    return found


def _upstream(pinned: Pins, version: str, api: str) -> str | None:
    """Return upstream's version of a release, if it is known."""
    found = find_upstream(version, api)
    if found is None and version == pinned.version:
        return pinned.nix
    if found is None:
        log.warn(f"cannot tell on which Nix release {version} is based: GitHub has no such source")
    return found


def _installer(release: Release, arch: str, cache: Path) -> Artifact:
    name = f"nix-installer-{arch}-linux"
    asset = release.assets.get(name)
    if asset is None:
        there = ", ".join(sorted(release.assets)) or "none"
        raise FetchError(
            f"release {release.version}: assets: expected {name}, got {there}",
            hint="a release that is new may not be complete yet: try again later",
        )
    found = _learn(asset.url, arch, cache)
    announced = Artifact(asset.url, asset.size, asset.sha256 or found.sha256)
    if found != announced:
        raise VerificationError(
            f"cannot confirm with GitHub's API: {asset.url}: expected {announced.size} bytes with "
            f"SHA-256 {announced.sha256}, got {found.size} with {found.sha256}",
            hint="the file was replaced, or changed on its way here",
        )
    if asset.sha256 is None:
        log.warn(f"{asset.url}: GitHub publishes no digest for it; trusted as downloaded over TLS")
    return found


def _learn(url: str, arch: str, cache: Path) -> Artifact:
    """Download an executable for ``arch``, and return its pin."""
    path, digest = fetch_unpinned(url, cache)
    try:
        built_for = elf.architecture(path) or "another file"
    except ValueError as error:
        built_for = f"another: {error}"
    if built_for != arch:
        raise VerificationError(
            f"cannot use a download: {url}: expected an executable for {arch}, got {built_for}"
        )
    return Artifact(url, digest.size, digest.sha256)


def _tarball(release: Pins, arch: str, cache: Path) -> Digest:
    origin = from_pins(release, arch, cache, offline=True).origin
    return Digest(int(origin["tarball_size"]), str(origin["tarball_sha256"]))


def _check_unchanged(pinned: Pins, found: Pins) -> None:
    """Refuse different bytes for a version that is already pinned: a release does not change."""
    for kind in ("installer", "nixd", "tarball"):
        before: Mapping[str, Artifact | Digest] = getattr(pinned, kind)
        for arch, pin in before.items():
            now = getattr(found, kind)[arch]
            if (now.size, now.sha256) != (pin.size, pin.sha256):
                raise VerificationError(
                    f"release {pinned.version}: {kind} for {arch}: expected the pinned "
                    f"{pin.size} bytes with SHA-256 {pin.sha256}, got {now.size} with {now.sha256}",
                    hint="find out who has replaced them, and why, before you pin them by hand",
                )
