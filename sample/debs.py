"""Get Debian packages of another suite or architecture through apt, with a state of its own.

The machine's own apt is not changed; mirror.py chooses the mirror. apt checks the archive's
signature, and a package enters the cache only under the SHA-256 of the signed index.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nix_aurora import log
from nix_aurora.errors import FetchError, ToolError
from nix_aurora.files import new_file, sha256_file
from nix_aurora.run import run
from sample.mirror import debian_mirror, explain, require_keyring
from sample.target import Target

ROOTS = ("nix-bin", "busybox-static")  # requested with all their dependencies
ALONE = ("ca-certificates", "nix-setup-systemd")  # requested without their dependencies
_ENVIRONMENT = {"LC_ALL": "C"}  # apt's messages are parsed


class Package(NamedTuple):
    """One package of the suite, as the signed index describes it."""

    name: str
    version: str
    file_name: str
    sha256: str  # hex

    @property
    def upstream_version(self) -> str:
        """Return the version without Debian's suffix, in the characters of a store path's name."""
        version = self.version.partition(":")[2] or self.version
        version = re.sub(r"-[^-]*$", "", version)
        version = re.sub(r"[+.](dfsg|ds|really|repack|~cs|nmu).*$", "", version)
        return re.sub(r"[^0-9A-Za-z.+_-]", "-", version)


def parse_simulation(text: str) -> list[str]:
    """Parse ``apt-get --simulate install``; return the package names in its order."""
    return re.findall(r"^Inst (\S+) \(", text, re.MULTILINE)


def parse_stanzas(text: str) -> Iterator[Package]:
    """Parse packages from ``apt-cache show``; raise ToolError if a stanza lacks a field."""
    for stanza in re.split(r"\n\n+", text.strip()):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.MULTILINE))
        try:
            yield Package(
                name=fields["Package"],
                version=fields["Version"],
                file_name=Path(fields["Filename"]).name,
                sha256=fields["SHA256"],
            )
        except KeyError as error:
            raise ToolError(
                f"cannot read apt-cache show: expected {error}, got {stanza!r}"
            ) from error


def is_library(name: str) -> bool:
    """Return whether a dependency may contain a library that Nix loads.

    The closure contains only libraries that are really loaded; this avoids the download of the
    other packages, above all Perl: Debian's package depends on it, Nix itself no longer does.
    """
    return bool(re.match(r"lib(?!perl)|zlib", name)) and not name.endswith("-perl")


@dataclass(frozen=True)
class Archive:
    """The archive of a suite, with its index and packages cached under ``cache``."""

    target: Target
    cache: Path

    def resolve(self, *, refresh: bool = False) -> list[Package]:
        """Return the packages that a sample may need, sorted by name.

        The index is downloaded if it is missing or with ``refresh``. Otherwise it is used
        unchanged, so the same cache produces the same sample. Raises FetchError if the download
        fails.
        """
        if refresh or not any(self._lists.glob("*_Packages*")):
            self._update()
        simulation = self._apt("apt-get", "--simulate", "-qq", "install", *ROOTS)
        libraries = [name for name in parse_simulation(simulation) if is_library(name)]
        shown = self._apt("apt-cache", "show", "--no-all-versions", *ROOTS, *ALONE, *libraries)
        return sorted(set(parse_stanzas(shown)))

    def find(self, *names: str) -> list[Package]:
        """Return exactly the packages with these names; fetch the index if there is none."""
        if not any(self._lists.glob("*_Packages*")):
            self._update()
        return list(parse_stanzas(self._apt("apt-cache", "show", "--no-all-versions", *names)))

    def fetch(self, packages: Sequence[Package]) -> dict[str, Path]:
        """Return the package files by package name; download those that are not cached."""
        folder = self.cache / "debs"
        folder.mkdir(parents=True, exist_ok=True)
        found = {package.name: folder / package.file_name for package in packages}
        missing = [package for package in packages if not _is(found[package.name], package)]
        if missing:
            with log.step(f"Downloading {len(missing)} packages of {self.target.suite}"):
                self._download(missing, folder)
        return found

    def _download(self, packages: Iterable[Package], folder: Path) -> None:
        by_digest = {package.sha256: package for package in packages}
        wanted = [f"{package.name}={package.version}" for package in by_digest.values()]
        with tempfile.TemporaryDirectory(dir=self.cache, prefix=".download.") as scratch:
            try:
                self._apt("apt-get", "-qq", "download", *wanted, cwd=Path(scratch))
            except ToolError as error:
                raise FetchError(
                    f"cannot download packages: {error.message}",
                    hint="the mirror may have newer packages by now: --refresh",
                ) from error
            for file in Path(scratch).glob("*.deb"):
                package = by_digest.pop(sha256_file(file), None)
                if package:
                    file.replace(folder / package.file_name)
        if by_digest:
            names = ", ".join(package.name for package in by_digest.values())
            raise FetchError(
                f"cannot download packages: {names}: expected the index's SHA-256, got other bytes",
                hint="the mirror may have newer packages by now: --refresh",
            )

    @property
    def _state(self) -> Path:
        return self.cache / f"apt-{self.target.suite}-{self.target.architecture.debian}"

    @property
    def _lists(self) -> Path:
        return self._state / "lists"

    def _update(self) -> None:
        keyring, mirror = require_keyring(), debian_mirror(self.target.suite)
        for folder in (self._lists / "partial", self._state / "cache/archives/partial"):
            folder.mkdir(parents=True, exist_ok=True)
        architecture = self.target.architecture.debian
        options = f"arch={architecture} signed-by={keyring} target=Packages"
        with new_file(self._state / "sources.list") as file:
            file.write_text(f"deb [{options}] {mirror} {self.target.suite} main\n")
        with new_file(self._state / "status"):
            pass  # nothing is installed, since every dependency is named
        with log.step(f"Fetching the index of {self.target.suite} for {architecture}"):
            try:
                self._apt("apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update")
            except ToolError as error:
                failed = FetchError(
                    f"cannot fetch a package index: {mirror}: {error.message}",
                    details=error.details,
                    hint="a sample needs a Debian mirror, once; later runs use the cache",
                )
                raise explain(failed, mirror) from error

    def _apt(self, program: str, *words: str, cwd: Path | None = None) -> str:
        state, architecture = self._state, self.target.architecture.debian
        options = {
            "Dir::State": state,
            "Dir::State::lists": self._lists,
            "Dir::State::status": state / "status",
            "Dir::Cache": state / "cache",
            "Dir::Cache::pkgcache": "pkgcache.bin",  # container images turn this cache off
            "Dir::Etc::SourceList": state / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Install-Recommends": "false",
            # The cache may be in a directory that apt's own user cannot enter.
            "APT::Sandbox::User": "root",
            # The signed index of a frozen mirror is past its expiry date.
            "Acquire::Check-Valid-Until": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Debug::NoLocking": "true",  # for simulations; our own lock covers them
        }
        words_of_options = [
            word for item in options.items() for word in ("-o", "{}={}".format(*item))
        ]
        return run([program, *words_of_options, *words], cwd=cwd, env=_ENVIRONMENT)


def unpack(file: Path, destination: Path) -> None:
    """Unpack the files of a package, if it has any, into ``destination``."""
    destination.mkdir(parents=True)
    run(["dpkg-deb", "--extract", file, destination])


def _is(file: Path, package: Package) -> bool:
    return file.exists() and sha256_file(file) == package.sha256
