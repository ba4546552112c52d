"""Which licences a closure's store paths carry: the files that tell, and what they say for sure.

Nothing is guessed. A path that carries no licence gets NOASSERTION, and so does one whose licence
is not told by bytes that we know: nixpkgs keeps most licence files out of what is run (they go to
a package's output ``doc``, or are not installed at all).
"""

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nix_aurora.closure import dep5, parts
from nix_aurora.closure.proof import Closure
from nix_aurora.errors import VerificationError
from nix_aurora.store.reginfo import HASH_LENGTH, STORE, PathInfo

NOASSERTION = "NOASSERTION"

# nix `src/libstore/names.cc`, DrvName: the version follows the first dash before a non-letter.
_NAME = re.compile(r"(?P<name>.*?)(?:-(?P<version>[^A-Za-z].*))?", re.DOTALL)

# COPYING, COPYING.LIB, LICENSE-MIT, copyright, license.txt; but no license.py or copyright.h.
_STEM = r"(?:copying|copyright|licen[cs]e|unlicen[cs]e|notice)"
_FILE = re.compile(rf"(?i:{_STEM}(?:\.txt|\.md|\.rst)?)|{_STEM.upper()}[0-9A-Za-z._+-]*", re.ASCII)
_NOTICE = re.compile(r"(?i)notice")  # goes with a licence, and is none
_DIRECTORY = re.compile(r"(?i)licen[cs]es")
_LARGEST = 4 << 20  # bytes; larger texts are named, not read: Debian has 2 MB for Boost

# SHA-256 of texts, white space as one space, that are the same wherever they are used.
_WHOLE = {
    "0ffddef9e48f8a09aed5caf2d44f7ba1c1be2d9b8e0a6f693b1635b2d5566645": "Apache-2.0",
    "09ae9bf1886f530f7338889ef805f37b288ec6adedd1e1e32058921acf05a782": "Apache-2.0",  # no appendix
}
# The same, of MIT's text below its title and its copyright notices, which everybody's own are.
_MIT = "fe2a9817987f862eaced948f0468c7f51d2fedfc48c5c505b246a49a3870e9a5"
_MIT_START = "Permission is hereby granted, free of charge,"
_MIT_HEAD = re.compile(
    r"(?i)(?:the )?mit license(?: \(mit\))?|(?:copyright|\(c\)|©) .*|all rights reserved\.?"
)


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


def split_name(path: str) -> tuple[str, str]:
    """Split a store path into its name and its version (maybe empty), as Nix does."""
    name = path.rpartition("/")[2][HASH_LENGTH + 1 :]
    match = _NAME.fullmatch(name)
    return (match["name"], match["version"] or "") if match else (name, "")


def find(paths: Iterable[PathInfo], store: Path) -> dict[str, Finding]:
    """Look into every store path in the unpacked ``store``."""
    return {info.path: _finding(store, info.name) for info in paths}


def render(closure: Closure, findings: Mapping[str, Finding]) -> str:
    """Render CLOSURE-LICENSES: an introduction, and a paragraph for each store path."""
    introduction = _INTRODUCTION.format(
        version=closure.version,
        system=closure.system,
        known=sum(finding.concluded != NOASSERTION for finding in findings.values()),
        carrying=sum(bool(finding.texts) for finding in findings.values()),
        paths=len(closure.paths),
    )
    paragraphs = (_paragraph(info, findings[info.path]) for info in closure.paths)
    return "\n".join([introduction, *paragraphs])


def escape(text: str) -> str:
    """Give ``text`` in one line of ASCII: what is no plain character is spelt as Python does."""
    return text.encode("unicode_escape").decode("ascii")


_INTRODUCTION = """\
What Nix {version} for {system} consists of, and under which licences
=====================================================================

The package's License tag calls this LicenseRef-nix-aurora-closure: the content of
/usr/lib/nix-aurora/store, each part of it under a licence of its own. SOURCE-OFFER says where the
source of all of it is.

There is a paragraph for each store path. "License" is an SPDX expression, where it is known for
sure: that is so for {known} of {paths} paths. NOASSERTION says no more than that it is not known
here; the part's own source tells. {carrying} paths have files that tell of their licence, "File"
names them as they are called below the store. "Names" are the licences that such a file names, in
its own words: it is one of Debian's, and speaks of all that was in the source.
"""


def _paragraph(info: PathInfo, finding: Finding) -> str:
    name, version = split_name(info.path)
    lines = [f"Path: {info.path}", f"Name: {name}"]
    lines += [f"Version: {version}"] if version else []
    lines += [f"License: {finding.concluded}"]
    for text in finding.texts:
        lines += [f"File: {escape(text.path)}", f"SHA256: {text.sha256}"]
        lines += [f"Names: {'; '.join(map(escape, text.names))}"] if text.names else []
    return "\n".join(lines) + "\n"


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
            authors.add(_recognise(words))
    return Finding(
        texts=tuple(texts[path] for path in sorted(texts)),
        declared=_only(authors),
        concluded=_only(authors | debian),
    )


def _only(licences: Collection[str | None]) -> str:
    """Give the one licence; of several none says whether they are a choice."""
    return next(iter(licences)) or NOASSERTION if len(licences) == 1 else NOASSERTION


def _candidates(store: Path, name: str) -> Iterator[str]:
    """Give what is called like a licence in a store path, as paths below /nix/store."""
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
            here = os.fsencode(parts.resolve(store, path))
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


def _recognise(text: str) -> str | None:
    """Give the SPDX identifier of a licence's text, where it is nothing but that."""
    if identifier := _WHOLE.get(_digest(text)):
        return identifier
    head, start, body = text.partition(_MIT_START)
    notices = [line.strip() for line in head.splitlines() if line.strip()]
    if start and all(_MIT_HEAD.fullmatch(line) for line in notices):
        return "MIT" if _digest(start + body) == _MIT else None
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
