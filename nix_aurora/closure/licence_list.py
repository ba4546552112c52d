"""CLOSURE-LICENSES, which lists the licences of a closure for people."""

from collections.abc import Mapping

from nix_aurora.closure.licences import NOASSERTION, Finding
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
