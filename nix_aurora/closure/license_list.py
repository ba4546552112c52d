"""CLOSURE-LICENSES, which lists the licenses of a closure for people."""

from collections.abc import Mapping

from nix_aurora.closure.licenses import NOASSERTION, Finding
from nix_aurora.closure.proof import Closure
from nix_aurora.store.paths import split_name
from nix_aurora.store.reginfo import PathInfo


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
    """Return ``text`` as one line of ASCII; other characters are escaped as in Python."""
    return text.encode("unicode_escape").decode("ascii")


_INTRODUCTION = """\
What Nix {version} for {system} consists of, and under which licenses
=====================================================================

The package's License tag calls this LicenseRef-nix-aurora-closure: the content of
/usr/lib/nix-aurora/store. Each part of it has its own license. SOURCE-OFFER says where to find the
source of all parts.

There is a paragraph for each store path. "License" is an SPDX expression if the license is
certain, which is so for {known} of {paths} paths. NOASSERTION means only that the license is not
known here; the source of the part states it. {carrying} paths contain files about their license:
"File" is the name of such a file below the store. "Names" are the licenses that a copyright file
of Debian names, in its own words; that file describes everything in the source.
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
