"""Find the license files of a closure's store paths, and the licenses that are certain.

Nothing is guessed. A path gets NOASSERTION if it has no license file, or only files whose bytes are
unknown here. nixpkgs keeps most license files out of the paths that are run: they are in a
package's output ``doc``, or are not installed at all.
"""

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nix_aurora.closure import dep5
from nix_aurora.closure.license_texts import recognize
from nix_aurora.errors import VerificationError
from nix_aurora.store import links
from nix_aurora.store.paths import STORE
from nix_aurora.store.reginfo import PathInfo

NOASSERTION = "NOASSERTION"

# This matches COPYING, COPYING.LIB, LICENSE-MIT, copyright and license.txt, but not license.py or
# copyright.h.
_STEM = r"(?:copying|copyright|licen[cs]e|unlicen[cs]e|notice)"
_FILE = re.compile(rf"(?i:{_STEM}(?:\.txt|\.md|\.rst)?)|{_STEM.upper()}[0-9A-Za-z._+-]*", re.ASCII)
_NOTICE = re.compile(r"(?i)notice")  # comes with a license, but is not one
_DIRECTORY = re.compile(r"(?i)licen[cs]es")
_LARGEST = 4 << 20  # bytes; larger texts are listed, but not read: Debian has 2 MB for Boost


@dataclass(frozen=True, slots=True)
class Text:
    """A file about licenses: its path below /nix/store, and its SHA-256 in hex.

    ``names`` are the licenses that a Debian copyright file names, in its own words.
    """

    path: str
    sha256: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """The licenses of a store path.

    ``declared`` is the SPDX expression for what its authors say, ``concluded`` the one for
    everything that was found; either is NOASSERTION if it is not known for sure.
    """

    texts: tuple[Text, ...] = ()
    declared: str = NOASSERTION
    concluded: str = NOASSERTION


def find(paths: Iterable[PathInfo], store: Path) -> dict[str, Finding]:
    """Return the finding for each store path in the unpacked ``store``, by path."""
    return {info.path: _finding(store, info.name) for info in paths}


def _finding(store: Path, name: str) -> Finding:
    texts: dict[str, Text] = {}
    authors, debian = set[str | None](), set[str | None]()
    for candidate in _candidates(store, name):
        found = _read(store, candidate)
        if found is None:
            continue
        path, sha256, words = found
        named = dep5.names(words)
        texts[path] = Text(path, sha256, named)
        if named:
            debian.add(dep5.expression(named))
        elif not _NOTICE.match(path.rpartition("/")[2]):
            authors.add(recognize(words))
    return Finding(
        texts=tuple(texts[path] for path in sorted(texts)),
        declared=_only(authors),
        concluded=_only(authors | debian),
    )


def _only(licenses: Collection[str | None]) -> str:
    """Return the only license, else NOASSERTION: several may be a choice or a sum."""
    return next(iter(licenses)) or NOASSERTION if len(licenses) == 1 else NOASSERTION


def _candidates(store: Path, name: str) -> Iterator[str]:
    """Yield the files of a store path that are named like a license, as paths below /nix/store."""
    base = os.fsencode(store) + b"/"
    if not stat.S_ISDIR(os.lstat(base + name.encode()).st_mode):
        return  # a file, or a link, which os.walk() would follow to this machine's /nix
    for folder, _, files in os.walk(base + name.encode()):
        inside = _decode(folder[len(base) :])
        in_license_directory = any(_DIRECTORY.fullmatch(part) for part in inside.split("/")[1:])
        for file in map(_decode, files):
            if in_license_directory or _FILE.fullmatch(file):
                yield f"{STORE}/{inside}/{file}"


def _read(store: Path, path: str) -> tuple[str, str, str] | None:
    """Return the path, SHA-256 and text of the file that ``path`` is, or links to, in the closure.

    The text is empty if the file is larger than any license. Return None if ``path`` is not a file.
    """
    here = os.fsencode(store) + path[len(STORE) :].encode("utf-8", "surrogateescape")
    if stat.S_ISLNK(os.lstat(here).st_mode):
        try:
            here = os.fsencode(links.resolve(store, path))
        except VerificationError:
            return None
        path = STORE + _decode(here[len(os.fsencode(store)) :])
    if not stat.S_ISREG(os.lstat(here).st_mode):
        return None
    with open(here, "rb") as file:  # noqa: PTH123 - bytes
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if os.fstat(file.fileno()).st_size > _LARGEST:
            return path, sha256, ""
        file.seek(0)
        return path, sha256, file.read().decode("utf-8", "replace")


def _decode(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
