"""Debian packages of another suite or architecture, through apt with a state of its own.

Nothing of the machine's own apt is changed; mirror.py chooses the mirror. apt checks the archive's
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

ROOTS = ("nix-bin", "busybox-static")  # asked for with all that they depend on
ALONE = ("ca-certificates", "nix-setup-systemd")  # files are wanted, their dependencies are not
_ENVIRONMENT = {"LC_ALL": "C"}  # apt's messages are read


class Package(NamedTuple):
    """One package of the suite, as its signed index has it."""

    name: str
    version: str
    file_name: str
    sha256: str  # hex

    @property
    def upstream_version(self) -> str:
        """The version without what Debian adds, in the characters of a store path's name."""
        version = self.version.partition(":")[2] or self.version
        version = re.sub(r"-[^-]*$", "", version)
        version = re.sub(r"[+.](dfsg|ds|really|repack|~cs|nmu).*$", "", version)
        return re.sub(r"[^0-9A-Za-z.+_-]", "-", version)


def parse_simulation(text: str) -> list[str]:
    """Give the package names of ``apt-get --simulate install``, in its order."""
    return re.findall(r"^Inst (\S+) \(", text, re.MULTILINE)


def parse_stanzas(text: str) -> Iterator[Package]:
    """Read the packages from ``apt-cache show``; ToolError on a stanza without what we need."""
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
    """Whether a dependency may hold a library that Nix loads.

    The closure takes only what is really loaded; this spares the download of the rest, Perl
    above all: Debian's package depends on it, Nix itself no longer does.
    """
    return bool(re.match(r"lib(?!perl)|zlib", name)) and not name.endswith("-perl")


@dataclass(frozen=True)
class Archive:
    """A suite's archive, with what is known and fetched of it under ``cache``."""

    target: Target
    cache: Path

    def resolve(self, *, refresh: bool = False) -> list[Package]:
        """Give the packages that a sample may need, sorted by name.

        The index is fetched when there is none or with ``refresh``, and else used as it is: the
        same cache gives the same sample. FetchError when that fails.
        """
        if refresh or not any(self._lists.glob("*_Packages*")):
            self._update()
        simulation = self._apt("apt-get", "--simulate", "-qq", "install", *ROOTS)
        libraries = [name for name in parse_simulation(simulation) if is_library(name)]
        shown = self._apt("apt-cache", "show", "--no-all-versions", *ROOTS, *ALONE, *libraries)
        return sorted(set(parse_stanzas(shown)))

    def find(self, *names: str) -> list[Package]:
        """Return the packages of these names alone; the index is fetched where there is none."""
        if not any(self._lists.glob("*_Packages*")):
            self._update()
        return list(parse_stanzas(self._apt("apt-cache", "show", "--no-all-versions", *names)))

    def fetch(self, packages: Sequence[Package]) -> dict[str, Path]:
        """Give the package files by package name; those that the cache lacks are downloaded."""
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
            pass  # nothing is installed: every dependency is named
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
            "Dir::Cache::pkgcache": "pkgcache.bin",  # container images turn it off
            "Dir::Etc::SourceList": state / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Install-Recommends": "false",
            # The cache may lie where apt's own user cannot go.
            "APT::Sandbox::User": "root",
            # Mirrors that are frozen in time have a signed index past its date.
            "Acquire::Check-Valid-Until": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Debug::NoLocking": "true",  # for simulations; our own lock is around it all
        }
        words_of_options = [
            word for item in options.items() for word in ("-o", "{}={}".format(*item))
        ]
        return run([program, *words_of_options, *words], cwd=cwd, env=_ENVIRONMENT)


def unpack(file: Path, destination: Path) -> None:
    """Unpack a package's files, as far as it has any, into ``destination``."""
    destination.mkdir(parents=True)
    run(["dpkg-deb", "--extract", file, destination])


def _is(file: Path, package: Package) -> bool:
    return file.exists() and sha256_file(file) == package.sha256
