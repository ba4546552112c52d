"""The packaged closure: what it says of itself, and whether its files are whole."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.errors import CommandError
from nix_aurora_host.facts import Archive, Closure
from nix_aurora_host.system import read

_CHUNK = 1 << 20


def gather_closure() -> Closure:
    """Read closure.json; CommandError where the package is damaged."""
    path = f"{paths.PACKAGE}/closure.json"
    try:
        return parse_closure(read(path) or "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(
            f"cannot read the package: {path}: expected the closure's description, got {error!r}",
            "rpm --verify nix-aurora",
        ) from error


def parse_closure(text: str) -> Closure:
    """Parse closure.json; raises ValueError, KeyError, TypeError, AttributeError."""
    content = json.loads(text)
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


def _here(path: str) -> str:
    return path.replace("/nix/store", paths.PREFIX, 1)


def gather_archive(closure: Closure) -> Archive:
    """Hash the archive: the slow part of doctor, some tenths of a second."""
    size, sha256, blake2b = _measure(paths.ARCHIVE)
    environment = parse_environment(read(f"{paths.PACKAGE}/closure.env") or "")
    expected = {
        "CLOSURE_ID": closure.id,
        "CLOSURE_VERSION": closure.version,
        "CLOSURE_SYSTEM": closure.system,
        "CLOSURE_NIX": closure.nix.replace(paths.PREFIX, "/nix/store", 1),
        "CLOSURE_CACERT": closure.cacert.replace(paths.PREFIX, "/nix/store", 1),
        "CLOSURE_PATHS": str(len(closure.paths)),
    }
    if sha256 == closure.archive_sha256:  # else the archive is what is damaged
        expected["ARCHIVE_BLAKE2B"] = blake2b or ""
    differing = find_differing(environment, expected, closure)
    return Archive(size, sha256, _measure(paths.REGISTRATION)[1], differing)


def parse_environment(text: str) -> dict[str, str]:
    """Parse closure.env: KEY=VALUE lines."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def find_differing(
    environment: Mapping[str, str], expected: Mapping[str, str], closure: Closure
) -> tuple[str, ...]:
    """Return the names of the values in closure.env that contradict closure.json."""
    wrong = [name for name, value in expected.items() if environment.get(name) != value]
    for name in ("CLOSURE_PROFILE", "CLOSURE_MANUAL"):
        value = environment.get(name, "").replace("/nix/store", paths.PREFIX, 1)
        if value not in closure.paths and (value or name == "CLOSURE_PROFILE"):
            wrong.append(name)
    parts = environment.get("ARCHIVE_PARTS", "").split(",")
    sizes = [int(part) for part in parts if part.isdecimal()]
    if len(sizes) != len(parts) or sum(sizes) != closure.archive_size:
        wrong.append("ARCHIVE_PARTS")
    return tuple(wrong)


def _measure(path: str) -> tuple[int | None, str | None, str | None]:
    """Return a file's size, SHA-256 and BLAKE2b, from one reading."""
    sha256, blake2b = hashlib.sha256(), hashlib.blake2b()
    size = 0
    try:
        with Path(path).open("rb") as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                sha256.update(chunk)
                blake2b.update(chunk)
    except OSError:
        return None, None, None
    return size, sha256.hexdigest(), blake2b.hexdigest()
