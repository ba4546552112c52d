"""pins.toml: what is downloaded, and the version and date of what is built."""

import datetime
import re
import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import tomlkit

from nix_aurora.errors import PinError, quoted
from nix_aurora.text import printable

ARCHES = ("x86_64", "aarch64")  # RPM's names, which are Nix's too

_T = TypeVar("_T")
_TYPES = {str: "a string", int: "an integer", datetime.date: "a date (YYYY-MM-DD)"}
_HINT = "the comments in pins.toml say what belongs there"


@dataclass(frozen=True)
class Digest:
    """What a file has to be: its size in bytes, and its SHA-256 in lowercase hex."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Artifact:
    """A file to download. ``size`` is None where only its digest is known."""

    url: str
    size: int | None
    sha256: str


@dataclass(frozen=True)
class Pins:
    """The content of pins.toml. ``installer`` and ``nixd`` have all of ARCHES."""

    package_release: int
    date: datetime.date
    version: str
    installer: Mapping[str, Artifact]
    nixd: Mapping[str, Artifact]
    tarball: Mapping[str, Digest]


def check_sha256(text: str) -> str:
    """Give ``text`` back if it is a SHA-256 in lowercase hex, else raise ValueError."""
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"expected 64 hex digits in lower case, got {quoted(text)}")
    return text


def check_url(text: str) -> str:
    """Give ``text`` back if it is an https URL with a host and without credentials.

    ValueError says what is wrong, and never repeats a password.
    """
    # urlsplit drops tabs and line ends in silence, and URL parsers disagree on backslashes.
    if not re.fullmatch(r"[!-\[\]-~]+", text):
        raise ValueError(f"expected a URL in printable ASCII, got {quoted(text)}")
    try:
        url = urlsplit(text)
        _ = url.port  # raises as well
    except ValueError as error:
        raise ValueError(f"expected a URL, got something else: {error}") from None
    if "@" in url.netloc:
        raise ValueError(f"expected a URL without credentials, got some for {url.hostname}")
    if url.scheme != "https":
        raise ValueError(f"expected an https URL, got {quoted(text)}")
    if not url.hostname:
        raise ValueError(f"expected a URL with a host, got {quoted(text)}")
    return text


def check_version(text: str) -> str:
    """Give ``text`` back if it is a version that RPM compares as numbers, else raise ValueError."""
    # One with a letter or a hyphen would need a rule of its own.
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)+", text):
        raise ValueError(f"expected a version such as 3.22.1, got {quoted(text)}")
    return text


def load(path: Path) -> Pins:
    """Read and check pins.toml; PinError names the key and what was expected of it."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PinError(
            f"{path.name}: expected a readable file, got: {error.strerror}",
            hint="git restore pins.toml brings it back; --pins names another",
        ) from error
    except ValueError as error:  # not TOML, or not even UTF-8
        raise PinError(f"{path.name}: expected TOML, got: {error}", hint=_HINT) from error
    return _pins(_Table(path.name, "", content))


def rewrite(text: str, pins: Pins) -> str:
    """Give the text of a pins.toml with the values of ``pins``; comments and order are kept.

    Tables that are not there yet come at the end.
    """
    document = tomlkit.parse(text)
    _merge(
        document,
        {
            "package": {"release": pins.package_release, "date": pins.date},
            "release": {"version": pins.version},
            "installer": {arch: asdict(pin) for arch, pin in pins.installer.items()},
            "determinate-nixd": {arch: asdict(pin) for arch, pin in pins.nixd.items()},
            "tarball": {arch: asdict(pin) for arch, pin in pins.tarball.items()},
        },
    )
    return tomlkit.dumps(document)


def _merge(table: MutableMapping[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if not isinstance(value, Mapping):
            table[key] = value
        elif value:
            if key not in table:
                of_tables = all(isinstance(inner, Mapping) for inner in value.values())
                table[key] = tomlkit.table(is_super_table=of_tables)
            _merge(table[key], value)


class _Table:
    """A table of which every key has to be taken."""

    def __init__(self, file: str, name: str, content: object) -> None:
        self._file = file
        self._name = name
        if not isinstance(content, dict):
            raise PinError(
                f"{file}: {name}: expected a table, got {printable(repr(content))}", hint=_HINT
            )
        self._left: dict[str, object] = dict(content)
        self._taken: list[str] = []

    def _fault(self, key: str, problem: str, hint: str = _HINT) -> PinError:
        where = f"{self._name}.{key}" if self._name else key
        return PinError(f"{self._file}: {where}: {problem}", hint=hint)

    def take(self, key: str, kind: type[_T], check: Callable[[_T], object] | None = None) -> _T:
        """Give a key's value, which has to be of just that type and to pass ``check``."""
        self._taken.append(key)
        if key not in self._left:
            raise self._fault(key, f"expected {_TYPES[kind]}, got no such key")
        value = self._left.pop(key)
        # Not isinstance: a bool is an int, and a datetime a date.
        if type(value) is not kind:
            raise self._fault(key, f"expected {_TYPES[kind]}, got {printable(repr(value))}")
        try:
            if check:
                check(value)
        except ValueError as error:
            raise self._fault(key, str(error)) from error
        return value

    def table(self, key: str) -> "_Table":
        """Give the table under a key."""
        self._taken.append(key)
        if key not in self._left:
            raise self._fault(key, "expected a table, got no such key")
        name = f"{self._name}.{key}" if self._name else key
        return _Table(self._file, name, self._left.pop(key))

    def optional_table(self, key: str) -> "_Table | None":
        """Give the table under a key that may be missing."""
        if key in self._left:
            return self.table(key)
        self._taken.append(key)
        return None

    def end(self) -> None:
        """Refuse the keys that nobody took."""
        for key in self._left:
            known = ", ".join(self._taken) or "none"
            raise self._fault(key, "expected a known key, got this one", f"known keys: {known}")


def _pins(root: _Table) -> Pins:
    package = root.table("package")
    package_release = package.take("release", int, _check_positive)
    date = package.take("date", datetime.date)
    package.end()
    release = root.table("release")
    version = release.take("version", str, check_version)
    release.end()
    installer = _artifacts(root.table("installer"))
    nixd = _artifacts(root.table("determinate-nixd"))
    tarball = _digests(root.optional_table("tarball"))
    root.end()
    return Pins(package_release, date, version, installer, nixd, tarball)


def _artifacts(table: _Table) -> Mapping[str, Artifact]:
    found = {}
    for arch in ARCHES:
        entry = table.table(arch)
        url = entry.take("url", str, check_url)
        digest = _digest(entry)
        found[arch] = Artifact(url, digest.size, digest.sha256)
    table.end()
    return MappingProxyType(found)


def _digests(table: _Table | None) -> Mapping[str, Digest]:
    found = {}
    if table:
        for arch in ARCHES:
            if entry := table.optional_table(arch):
                found[arch] = _digest(entry)
        table.end()
    return MappingProxyType(found)


def _digest(entry: _Table) -> Digest:
    size = entry.take("size", int, _check_positive)
    sha256 = entry.take("sha256", str, check_sha256)
    entry.end()
    return Digest(size, sha256)


def _check_positive(number: int) -> None:
    if number <= 0:
        raise ValueError(f"expected a positive number, got {number}")
