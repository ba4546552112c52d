"""Which licences a closure's store paths carry: the files that say so, and what is certain.

Nothing is guessed. A path that carries no licence gets NOASSERTION, and so does one whose licence
is not told by bytes that we know: nixpkgs keeps most licence files out of what is run (they go to
a package's output ``doc``, or are not installed at all).
"""

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nix_aurora.closure import dep5
from nix_aurora.closure.licence_texts import recognise
from nix_aurora.errors import VerificationError
from nix_aurora.store import links
from nix_aurora.store.paths import STORE
from nix_aurora.store.reginfo import PathInfo

NOASSERTION = "NOASSERTION"

# COPYING, COPYING.LIB, LICENSE-MIT, copyright, license.txt; but no license.py or copyright.h.
_STEM = r"(?:copying|copyright|licen[cs]e|unlicen[cs]e|notice)"
_FILE = re.compile(rf"(?i:{_STEM}(?:\.txt|\.md|\.rst)?)|{_STEM.upper()}[0-9A-Za-z._+-]*", re.ASCII)
_NOTICE = re.compile(r"(?i)notice")  # goes with a licence, and is none
_DIRECTORY = re.compile(r"(?i)licen[cs]es")
_LARGEST = 4 << 20  # bytes; larger texts are named, not read: Debian has 2 MB for Boost


@dataclass(frozen=True, slots=True)
class Text:
    """A file that tells of licences: its path below /nix/store, its SHA-256 in hex.

    ``names`` are the licences that a copyright file of Debian's names, in its own words.
    """

    path: str
    sha256: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a store path carries.

    ``declared`` is the SPDX expression for what its authors say, ``concluded`` for what follows
    from all that was found; NOASSERTION where it is not known for sure.
    """

    texts: tuple[Text, ...] = ()
    declared: str = NOASSERTION
    concluded: str = NOASSERTION


def find(paths: Iterable[PathInfo], store: Path) -> dict[str, Finding]:
    """Return what each store path in the unpacked ``store`` carries, by path."""
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
            authors.add(recognise(words))
    return Finding(
        texts=tuple(texts[path] for path in sorted(texts)),
        declared=_only(authors),
        concluded=_only(authors | debian),
    )


def _only(licences: Collection[str | None]) -> str:
    """Return the one licence, else NOASSERTION: several may be a choice, or all be meant."""
    return next(iter(licences)) or NOASSERTION if len(licences) == 1 else NOASSERTION


def _candidates(store: Path, name: str) -> Iterator[str]:
    """Yield the files of a store path that are named like a licence, as paths below /nix/store."""
    base = os.fsencode(store) + b"/"
    if not stat.S_ISDIR(os.lstat(base + name.encode()).st_mode):
        return  # a link, which os.walk() would follow to this machine's /nix, or a file
    for folder, _, files in os.walk(base + name.encode()):
        inside = _decode(folder[len(base) :])
        told = any(_DIRECTORY.fullmatch(part) for part in inside.split("/")[1:])
        for file in map(_decode, files):
            if told or _FILE.fullmatch(file):
                yield f"{STORE}/{inside}/{file}"


def _read(store: Path, path: str) -> tuple[str, str, str] | None:
    """Return path, SHA-256 and text of what ``path`` is, or links to, in the closure.

    The text is empty where the file is larger than any licence. None where ``path`` is not a file.
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
