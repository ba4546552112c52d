"""The packaged closure: what it says of itself, and whether its archive is whole."""

import hashlib
import json
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.errors import CommandError
from nix_aurora_host.facts import Archive, Closure
from nix_aurora_host.system import read


def gather_closure() -> Closure:
    """Read closure.json; CommandError where the package is damaged."""
    path = f"{paths.PACKAGE}/closure.json"
    try:
        content = json.loads(read(path) or "")
        return Closure(
            id=content["id"],
            version=content["version"],
            system=content["system"],
            nix=_here(content["nix"]),
            cacert=_here(content["cacert"]),
            archive_size=content["archive"]["size"],
            archive_sha256=content["archive"]["sha256"],
            registration_sha256=content["registration"]["sha256"],
            paths=tuple(_here(entry["path"]) for entry in content["paths"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(
            f"reading the package: {path}: expected the closure's description, got {error!r}",
            "rpm --verify nix-aurora tells what has changed; reinstall the package",
        ) from error


def _here(path: str) -> str:
    return path.replace("/nix/store", paths.PREFIX, 1)


def gather_archive() -> Archive:
    """Hash the archive: the slow part of doctor, some tenths of a second."""
    size, digest = _size_and_sha256(paths.ARCHIVE)
    return Archive(size, digest, _size_and_sha256(paths.REGISTRATION)[1])


def _size_and_sha256(path: str) -> tuple[int | None, str | None]:
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return file.tell(), digest.hexdigest()
    except OSError:
        return None, None
