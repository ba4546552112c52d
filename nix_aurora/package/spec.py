"""Render the spec file from nix-aurora.spec.in."""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nix_aurora.errors import VerificationError, quoted
from nix_aurora.package.lists import list_unit_files, read_fedora_packages, read_units
from nix_aurora.package.render import render, scriptlet
from nix_aurora.package.tools import REQUIRES

# rpm orders a tilde before everything else, so a pre-release is older than its release.
# https://docs.fedoraproject.org/en-US/packaging-guidelines/Versioning/
_PRE_RELEASE = re.compile(r"(?<=\d)(?=(?:alpha|beta|pre|rc)\d*)")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+~_]*")


class Tarball(NamedTuple):
    """The release's tarball for ``arch``: its name in the SRPM, and its SHA-256 in hex."""

    name: str
    arch: str
    sha256: str


def rpm_version(version: str) -> str:
    """Return Nix's version in RPM's order: 2.35.0pre2025 becomes 2.35.0~pre2025."""
    result = _PRE_RELEASE.sub("~", version, count=1).replace("-", "_")
    if not _VERSION.fullmatch(result):
        raise VerificationError(
            "cannot name the package: version: expected digits, letters and . + ~ _, "
            f"got {quoted(version)}"
        )
    return result


def render_spec(
    top: Path,
    *,
    version: str,
    release: int,
    date: datetime.date,
    level: int,
    tarballs: Sequence[Tarball],
    sources: Sequence[str],
    accepted: Sequence[str] = (),
) -> str:
    """Render ``nix-aurora.spec.in`` in ``top``, the project's directory.

    ``version`` is Nix's, ``release`` and ``date`` are the packaging's, ``level`` is zstd's;
    ``sources`` are the names of all files in the SRPM, including ``tarballs``. If nixd's are among
    them, the spec has its package, too. ``accepted`` are the ids of the advisories that the
    changelog names.
    """
    template = top / "nix-aurora.spec.in"
    context = {
        "version": rpm_version(version),
        "release": release,
        "accepted": accepted,
        "changelog_date": date.strftime("%a %b %d %Y"),  # rpm expects English names
        "level": level,
        "tarballs": tarballs,
        "sources": sources,
        "nixd": any(name.startswith("nixd-") for name in sources),
        "requires": REQUIRES,
        "conflicts": read_fedora_packages(top),
        "units": " ".join(unit.name for unit in read_units(top)),
        "unit_files": list_unit_files(top),
        "scriptlets": {
            path.stem: scriptlet(path) for path in sorted((top / "scriptlets").glob("*.sh"))
        },
    }
    return render(template.read_text(encoding="utf-8"), context, template.name)
