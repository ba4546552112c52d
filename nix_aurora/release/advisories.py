"""Read and write advisories.toml: security advisories about Nix, and the affected versions."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tomlkit
from tomlkit.items import Array, Table

from nix_aurora.errors import quoted
from nix_aurora.release import table
from nix_aurora.release.checks import check_url
from nix_aurora.release.versions import parse_range, parse_version

UPSTREAM = "NixOS/nix"
DETERMINATE = "DeterminateSystems/nix-src"

# https://docs.github.com/code-security, "About the GitHub Advisory Database".
_GHSA = re.compile(r"GHSA(?:-[23456789cfghjmpqrvwx]{4}){3}")
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,}")
_URL = re.compile(
    rf"https://github\.com/({UPSTREAM}|{DETERMINATE})/security/advisories/({_GHSA.pattern})"
)
_LONG = 80  # characters of a list on one line


@dataclass(frozen=True, slots=True)
class Review:
    """The result of a person's review of Determinate's releases.

    ``affected`` are ranges of their versions, empty if no release for Linux is affected; ``fixed``
    are the first versions without the fault; ``source`` is the page that says so.
    """

    affected: tuple[str, ...]
    fixed: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Advisory:
    """A published advisory; ``review`` is None until a person has reviewed it.

    ``affected`` are ranges of the versions of ``repository``, as their authors typed them: empty if
    they are not known. ``fixed`` are the first fixed versions, one for each line of releases.
    """

    id: str
    cve: tuple[str, ...]
    title: str
    repository: str
    affected: tuple[str, ...]
    fixed: tuple[str, ...]
    review: Review | None = None

    @property
    def url(self) -> str:
        """Return the URL of the advisory."""
        return f"https://github.com/{self.repository}/security/advisories/{self.id}"


def check_id(text: str) -> str:
    """Return ``text`` if it is the id of an advisory at GitHub, else raise ValueError."""
    if not _GHSA.fullmatch(text):
        raise ValueError(f"expected an id such as GHSA-g3g9-5vj6-r3gj, got {quoted(text)}")
    return text


def check_cve(text: str) -> str:
    """Return ``text`` if it is a CVE id, else raise ValueError."""
    if not _CVE.fullmatch(text):
        raise ValueError(f"expected an id such as CVE-2026-39860, got {quoted(text)}")
    return text


def load(path: Path) -> Mapping[str, Advisory]:
    """Read and check advisories.toml; PinError names the key and the expected value."""
    root = table.read(path, "advisories.toml")
    found = {}
    for key in root.names():
        try:
            check_id(key)
        except ValueError as error:
            raise root.fault(key, str(error)) from error
        found[key] = _advisory(key, root.table(key))
    return MappingProxyType(found)


def _advisory(key: str, entry: table.Table) -> Advisory:
    def check_own_url(text: str) -> None:
        match = _URL.fullmatch(text)
        if not match or match[2] != key:
            raise ValueError(f"expected the advisory's page at GitHub, got {quoted(text)}")

    url = entry.take("url", str, check_own_url)
    cve = entry.take_strings("cve", check_cve)
    title = entry.take("title", str)
    affected = entry.take_strings("affected")
    fixed = entry.take_strings("fixed")
    review = None
    if entry.take("reviewed", bool):
        review = _review(entry.table("determinate"))
    elif entry.optional_table("determinate"):
        raise entry.fault("determinate", "expected none with reviewed = false, got it")
    entry.end()
    repository = url.removeprefix("https://github.com/").partition("/security/")[0]
    return Advisory(key, tuple(cve), title, repository, tuple(affected), tuple(fixed), review)


def _review(entry: table.Table) -> Review:
    affected = entry.take_strings("affected", parse_range)
    fixed = entry.take_strings("fixed", parse_version)
    source = entry.take("source", str, check_url)
    entry.end()
    return Review(tuple(affected), tuple(fixed), source)


def merge(text: str, published: Iterable[Advisory]) -> str:
    """Return the text of an advisories.toml, updated with the advisories that GitHub has published.

    New ones are appended, unreviewed. Unreviewed ones are updated; reviewed ones stay unchanged.
    Comments stay, too.
    """
    document = tomlkit.parse(text)
    for advisory in published:
        entry = document.get(advisory.id)
        if entry is None:
            document.append(advisory.id, _entry(advisory))
        elif not entry.get("reviewed"):
            for key, value in _values(advisory).items():
                if entry.get(key) != value:
                    entry[key] = _item(value)
    return tomlkit.dumps(document)


def _values(advisory: Advisory) -> dict[str, Any]:
    return {
        "cve": list(advisory.cve),
        "title": advisory.title,
        "url": advisory.url,
        "affected": list(advisory.affected),
        "fixed": list(advisory.fixed),
        "reviewed": False,
    }


def _entry(advisory: Advisory) -> Table:
    entry = tomlkit.table()
    for key, value in _values(advisory).items():
        entry.append(key, _item(value))
    return entry


def _item(value: object) -> object:
    if not isinstance(value, list):
        return value
    array: Array = tomlkit.array()
    array.extend(value)
    return array.multiline(len(str(value)) > _LONG)
