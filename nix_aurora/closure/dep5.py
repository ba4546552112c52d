"""The licenses that Debian's machine-readable copyright files name, and their SPDX expressions.

Closures that consist of Debian's packages, such as the sample, need this. python-debian and
license-expression are not used: they repair and normalize files, but here a file that is not
exactly in the format must not yield a license.

Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/ (DEP-5).
"""

import re
from collections.abc import Iterable

UNNAMED = "(unnamed)"

_FORMAT = re.compile(
    r"Format: *https?://www\.debian\.org/doc/packaging-manuals/copyright-format/1\.0/? *"
)
_FILES = re.compile(r"^Files:", re.MULTILINE)
_LICENSE = re.compile(r"^License: *(.*?) *$", re.MULTILINE)

# Short names of the format that mean exactly what SPDX's identifier means. "MIT" is not among them:
# the format warns that several licenses have that name.
_SAME = {
    name.lower(): identifier
    for name, identifier in (
        ("Apache-2.0", "Apache-2.0"),
        ("BSD-2-clause", "BSD-2-Clause"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("CC0-1.0", "CC0-1.0"),
        ("Expat", "MIT"),
        ("ISC", "ISC"),
        ("MPL-1.1", "MPL-1.1"),
        ("MPL-2.0", "MPL-2.0"),
        ("Zlib", "Zlib"),
    )
}
_GNU = re.compile(r"(gpl|lgpl)-([0-9](?:\.[0-9])?)(\+?)")
_GNU_VERSIONS = {"GPL": ("1.0", "2.0", "3.0"), "LGPL": ("2.0", "2.1", "3.0")}


def names(text: str) -> tuple[str, ...]:
    """Return the values of the ``License:`` fields in paragraphs of files, sorted and unique.

    The result is empty if ``text`` is not such a file; it has UNNAMED for files whose license has
    no name.
    """
    if not _FORMAT.fullmatch(text.partition("\n")[0]):
        return ()
    found = set()
    for paragraph in re.split(r"\n[ \t]*\n", text):
        if _FILES.search(paragraph):
            match = _LICENSE.search(paragraph)
            found.add((match[1] if match else "") or UNNAMED)
    return tuple(sorted(found))


def expression(named: Iterable[str]) -> str | None:
    """Return the SPDX expression for everything that ``names`` returned, all of it together.

    Return None if a single name is not known for sure: an expression without it would omit the very
    license that a reader looks for.
    """
    found = set[str]()
    for name in named:
        terms = _terms(name)
        if not terms:
            return None
        found |= terms
    return " AND ".join(sorted(found)) or None


def _terms(name: str) -> set[str]:
    """Return the licenses that one field requires together; an empty set if they are not known.

    A field is one name, or several names joined by one kind of word. If it has several kinds of
    words, commas decide which binds closer.
    """
    parts = re.split(r" and | or ", name)
    terms = {identifier for part in parts if (identifier := _identifier(part))}
    if len(terms) < len(set(parts)) or (" and " in name and " or " in name):
        return set()
    return {f"({' OR '.join(sorted(terms))})"} if " or " in name else terms


def _identifier(name: str) -> str | None:
    name = name.lower()
    if match := _GNU.fullmatch(name):
        family, version = match[1].upper(), match[2] if "." in match[2] else f"{match[2]}.0"
        if version in _GNU_VERSIONS[family]:
            return f"{family}-{version}-{'or-later' if match[3] else 'only'}"
        return None
    return _SAME.get(name)
