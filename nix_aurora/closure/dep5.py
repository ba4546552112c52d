"""The licences that Debian's machine-readable copyright files name, and their SPDX expressions.

It serves closures that are built of Debian's packages, as the sample is. python-debian and
license-expression are not used: they repair and normalize, and a file that is not exactly in the
format must name no licence here.

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

# Short names that the format defines, where it says just what SPDX's identifier says. Not "MIT":
# the format warns that several licences go by that name.
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
    """Return what the ``License:`` fields of the files' paragraphs say, sorted, each once.

    Nothing where ``text`` is no such file; UNNAMED for files whose licence has no name.
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
    """Return the SPDX expression for everything that ``names`` gave, all of it together.

    None where a single one is not known for sure: what is left out would be the licence that
    somebody looks for.
    """
    found = set[str]()
    for name in named:
        terms = _terms(name)
        if not terms:
            return None
        found |= terms
    return " AND ".join(sorted(found)) or None


def _terms(name: str) -> set[str]:
    """Return what one field asks for, all of it together: nothing where that is not known.

    A field is a name, or names that a single kind of word joins: of several kinds, commas decide
    which binds closer.
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
