"""Read and write pins.toml: the files to download, and the version and date of the package."""

import datetime
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tomlkit

from nix_aurora.release.checks import check_positive, check_sha256, check_url, check_version
from nix_aurora.release.table import Table, read

ARCHES = ("x86_64", "aarch64")  # RPM's names, which are Nix's too


@dataclass(frozen=True)
class Digest:
    """The expected size of a file in bytes, and its SHA-256 in lowercase hex."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Artifact:
    """A file to download; ``size`` is None if only its digest is known."""

    url: str
    size: int | None
    sha256: str


@dataclass(frozen=True)
class Pins:
    """The content of pins.toml; ``installer`` and ``nixd`` have entries for all of ARCHES.

    ``nix`` is the version of upstream's Nix on which the release is based; None if not known.
    """

    package_release: int
    date: datetime.date
    version: str
    nix: str | None
    installer: Mapping[str, Artifact]
    nixd: Mapping[str, Artifact]
    tarball: Mapping[str, Digest]


def load(path: Path) -> Pins:
    """Read and check pins.toml; PinError names the key and the expected value."""
    return _pins(read(path, "pins.toml"))


def rewrite(text: str, pins: Pins) -> str:
    """Return the text of a pins.toml with the values of ``pins``; keep comments and order.

    Missing tables are appended.
    """
    document = tomlkit.parse(text)
    _merge(
        document,
        {
            "package": {"release": pins.package_release, "date": pins.date},
            "release": {"version": pins.version, "nix": pins.nix},
            "installer": {arch: asdict(pin) for arch, pin in pins.installer.items()},
            "determinate-nixd": {arch: asdict(pin) for arch, pin in pins.nixd.items()},
            "tarball": {arch: asdict(pin) for arch, pin in pins.tarball.items()},
        },
    )
    return tomlkit.dumps(document)


def _merge(table: MutableMapping[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if value is None:
            table.pop(key, None)
        elif not isinstance(value, Mapping):
            table[key] = value
        elif value:
            if key not in table:
                of_tables = all(isinstance(inner, Mapping) for inner in value.values())
                table[key] = tomlkit.table(is_super_table=of_tables)
            _merge(table[key], value)


def _pins(root: Table) -> Pins:
    package = root.table("package")
    package_release = package.take("release", int, check_positive)
    date = package.take("date", datetime.date)
    package.end()
    release = root.table("release")
    version = release.take("version", str, check_version)
    nix = release.optional("nix", str, check_version)
    release.end()
    installer = _artifacts(root.table("installer"))
    nixd = _artifacts(root.table("determinate-nixd"))
    tarball = _digests(root.optional_table("tarball"))
    root.end()
    return Pins(package_release, date, version, nix, installer, nixd, tarball)


def _artifacts(table: Table) -> Mapping[str, Artifact]:
    found = {}
    for arch in ARCHES:
        entry = table.table(arch)
        url = entry.take("url", str, check_url)
        digest = _digest(entry)
        found[arch] = Artifact(url, digest.size, digest.sha256)
    table.end()
    return MappingProxyType(found)


def _digests(table: Table | None) -> Mapping[str, Digest]:
    found = {}
    if table:
        for arch in ARCHES:
            if entry := table.optional_table(arch):
                found[arch] = _digest(entry)
        table.end()
    return MappingProxyType(found)


def _digest(entry: Table) -> Digest:
    size = entry.take("size", int, check_positive)
    sha256 = entry.take("sha256", str, check_sha256)
    entry.end()
    return Digest(size, sha256)
