"""Which store paths of a closure are Nix itself, its certificates and its manual.

Source: nix `scripts/install-nix-from-tarball.sh` (the tarball's ``install``) and
`scripts/install-multi-user.sh`, in which the build puts the paths into assignments.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nix_aurora.errors import VerificationError
from nix_aurora.store.links import resolve
from nix_aurora.store.paths import STORE
from nix_aurora.store.reginfo import PathInfo
from nix_aurora.text import printable

_NIX = "bin/nix"
_CACERT = "etc/ssl/certs/ca-bundle.crt"
_VARIABLES = {
    "nix": ("nix", "NIX_INSTALLED_NIX"),
    "cacert": ("cacert", "NIX_INSTALLED_CACERT"),
    "manual": ("NIX_INSTALLED_NIX_MAN",),
}
_LONGEST = 1000  # characters of a quoted text, which may be several store paths


@dataclass(frozen=True, slots=True)
class Parts:
    """The store paths of the parts; ``manual`` is None if the tarball has no separate one."""

    nix: str
    cacert: str
    manual: str | None


def find(scripts: Mapping[str, str], paths: Collection[PathInfo], store: Path) -> Parts:
    """Find the parts that the install scripts name, else those that no other path refers to.

    ``store`` is the unpacked store. Raises VerificationError if the scripts disagree, if they name
    a path that is not in the closure or has other content, or if there is no candidate or more than
    one.
    """
    named = {role: _named(scripts, role) for role in _VARIABLES}
    members = {info.path for info in paths}
    for role, path in named.items():
        if path is not None and path not in members:
            raise _fault(path, f"expected the {role} path in the closure", "none")
    manual = named["manual"]
    if manual is not None and not resolve(store, manual).is_dir():
        raise _fault(manual, "expected the manual to be a directory", "something else")
    return Parts(
        nix=_part("nix", named["nix"], _NIX, paths, store),
        cacert=_part("cacert", named["cacert"], _CACERT, paths, store),
        manual=manual,
    )


def _named(scripts: Mapping[str, str], role: str) -> str | None:
    """Return the one path that the scripts' assignments name for ``role``.

    Return None if there is none.
    """
    found: dict[str, str] = {}
    for script, text in scripts.items():
        for variable in _VARIABLES[role]:
            assignment = re.compile(
                rf"^(?:export |readonly )?{variable}=([\"']?)({STORE}/[^\"'\s;]*)\1[ \t]*$",
                re.MULTILINE,
            )
            for match in assignment.finditer(text):
                found.setdefault(match[2], f"{variable} in {script}")
    if len(found) > 1:
        (first, one), (second, other) = list(found.items())[:2]
        raise _fault(
            second, f"expected one {role} path, {printable(first)} ({one})", f"another ({other})"
        )
    return next(iter(found), None)


def _part(role: str, named: str | None, file: str, paths: Collection[PathInfo], store: Path) -> str:
    path = named or _unreferenced(role, file, paths, store)
    found = resolve(store, f"{path}/{file}")
    if not found.is_file():
        raise _fault(f"{path}/{file}", "expected a regular file", "something else")
    if found.stat().st_size == 0:
        raise _fault(f"{path}/{file}", "expected content", "an empty file")
    return path


def _unreferenced(role: str, file: str, paths: Iterable[PathInfo], store: Path) -> str:
    referred = {
        reference for info in paths for reference in info.references if reference != info.path
    }
    candidates = [
        info.path
        for info in paths
        if info.path not in referred and os.path.lexists(store / info.name / file)
    ]
    if len(candidates) != 1:
        got = ", ".join(sorted(candidates)) or "none"
        raise _fault(role, f"expected one path with {file} that no other refers to", got)
    return candidates[0]


def _fault(subject: str, expected: str, got: str) -> VerificationError:
    where = f"cannot find the closure's parts: {printable(subject)}"
    return VerificationError(f"{where}: {expected}, got {printable(got, _LONGEST)}")
