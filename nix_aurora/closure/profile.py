"""The default profile, as ``nix-env --install`` creates it from Nix and its certificates.

It is two more store paths of the closure, so that the first boot only has to link to it.

Sources: nix `src/nix/nix-env/user-env.cc` (its manifest), `src/libstore/builtins/buildenv.cc` (its
links).
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from nix_aurora.closure.proof import Closure
from nix_aurora.errors import VerificationError
from nix_aurora.store import links, nar
from nix_aurora.store.paths import base_name, plain_name, store_path
from nix_aurora.store.reginfo import PathInfo
from nix_aurora.store.tree import MTIME

# Nix links neither these names nor names that start with a dot into a profile.
_LEFT_OUT = frozenset(
    {
        *("nix-support", "propagated-build-inputs", "log", "perllocal.pod"),
        *("manifest.nix", "manifest.json"),
    }
)
_PROPAGATED = "nix-support/propagated-user-env-packages"


def add_profile(closure: Closure, store: Path) -> tuple[PathInfo, PathInfo]:
    """Add the profile of ``closure`` to the unpacked ``store``; return it and its manifest.

    Raises VerificationError if Nix and the certificates have a file of the same name, or if one of
    them requires more packages in the profile.
    """
    packages = (closure.nix, closure.cacert)
    for package in packages:
        if os.path.lexists(store / base_name(package) / _PROPAGATED):
            raise _fault(f"{package}/{_PROPAGATED}", "no such file", "one")
    # The profile is created inside the store: a read-only directory can only be renamed within its
    # parent.
    file, folder = store / ".manifest", store / ".profile"
    text = _manifest(packages)
    file.write_bytes(text)
    file.chmod(0o444)
    os.utime(file, MTIME)
    path = store_path("text", hashlib.sha256(text).digest(), packages, "env-manifest.nix")
    manifest = _place(file, path, packages)

    references = (*packages, path)
    _link(packages, folder, store)
    (folder / "manifest.nix").symlink_to(path)
    _finish(folder)
    path = store_path("source", nar.nar_hash(folder).sha256, references, "user-environment")
    return _place(folder, path, references), manifest


def _place(made: Path, path: str, references: Sequence[str]) -> PathInfo:
    """Rename ``made`` to its name in the store, and return its registration."""
    sha256, size = nar.nar_hash(made)
    info = PathInfo(path, sha256, size, tuple(sorted(references)), deriver="")
    made.rename(made.with_name(info.name))
    return info


def _link(sources: Sequence[str], target: Path, store: Path) -> None:
    """Fill the new directory ``target`` with links to the merged content of ``sources``."""
    places: dict[str, list[str]] = {}
    for source in sources:
        folder = links.resolve(store, source)
        if not folder.is_dir():
            raise _fault(source, "a directory, as others have it too", "something else")
        for entry in folder.iterdir():
            if entry.name not in _LEFT_OUT and not entry.name.startswith("."):
                places.setdefault(entry.name, []).append(f"{source}/{entry.name}")
    target.mkdir()
    for name, found in places.items():
        if len(found) == 1:
            (target / name).symlink_to(found[0])
        else:
            _link(found, target / name, store)


def _manifest(packages: Sequence[str]) -> bytes:
    """Return the profile's manifest.nix, in the form that nix-env writes."""
    elements = (
        f'{{ meta = {{ }}; name = "{plain_name(path)}"; '
        f'out = {{ outPath = "{path}"; }}; outPath = "{path}"; outputs = [ "out" ]; '
        'type = "derivation"; }'
        for path in packages
    )
    return f"[ {' '.join(elements)} ]".encode()


def _finish(directory: Path) -> None:
    """Set the mtime of links and directories, and the mode of directories, as Nix does."""
    for folder, folders, files in os.walk(directory, topdown=False):
        for name in (*folders, *files):
            os.utime(f"{folder}/{name}", MTIME, follow_symlinks=False)
        Path(folder).chmod(0o555)
    os.utime(directory, MTIME)


def _fault(subject: str, expected: str, got: str) -> VerificationError:
    return VerificationError(
        f"cannot make the default profile: {subject}: expected {expected}, got {got}"
    )
