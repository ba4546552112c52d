"""What a packed closure says of itself: closure.json for programs, closure.env for shells.

closure.reginfo is its registration, as ``nix-store --load-db`` reads it.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nix_aurora import hashes, reginfo
from nix_aurora.closure import Closure
from nix_aurora.errors import VerificationError, quoted

_SCHEMA = 1
# Means itself to a POSIX shell, unquoted, to the right of an assignment's `=`.
_SHELL_SAFE = re.compile(r"[0-9A-Za-z/._+,:@=-]*")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A closure, and the archive that it is packed into.

    ``profile`` is the default profile's path in it, ``size`` what it needs on disk once it is
    unpacked, ``archive_size`` the archive's, ``archive_parts`` those of its parts, all in bytes;
    the digests are in hex.
    """

    closure: Closure
    profile: str
    size: int
    archive_name: str
    archive_size: int
    archive_parts: Sequence[int]
    archive_sha256: str
    archive_blake2b: str
    origin: Mapping[str, str | int]


def closure_id(closure: Closure) -> str:
    """Give 32 hex digits that are the same for the same paths in the same roles, only."""
    digest = hashlib.sha256(reginfo.render(closure.paths).encode())
    for root in (closure.nix, closure.cacert, closure.manual or ""):
        digest.update(f"{root}\n".encode())
    return digest.hexdigest()[:32]


def to_json(manifest: Manifest) -> str:
    """Render closure.json: keys sorted, indented by two, a newline at the end."""
    closure = manifest.closure
    content = {
        "schema": _SCHEMA,
        "id": closure_id(closure),
        "name": "nix",
        "version": closure.version,
        "system": closure.system,
        "nix": closure.nix,
        "cacert": closure.cacert,
        "manual": closure.manual,
        "profile": manifest.profile,
        "commands": closure.commands,
        "size": manifest.size,
        "paths": [
            {
                "path": info.path,
                "narHash": hashes.to_sri(info.nar_hash),
                "narSize": info.nar_size,
                "references": sorted(info.references),
            }
            for info in closure.paths
        ],
        "registration": {
            "name": "closure.reginfo",
            "sha256": hashlib.sha256(reginfo.render(closure.paths).encode()).hexdigest(),
        },
        "archive": {
            "name": manifest.archive_name,
            "size": manifest.archive_size,
            "parts": list(manifest.archive_parts),
            "sha256": manifest.archive_sha256,
        },
        "source": dict(manifest.origin),
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def to_env(manifest: Manifest) -> str:
    """Render closure.env: ``KEY=value`` lines that a POSIX shell can source as they are.

    Raises VerificationError on a value that a shell could take for more than text.
    """
    closure = manifest.closure
    values = {
        "CLOSURE_ID": closure_id(closure),
        "CLOSURE_VERSION": closure.version,
        "CLOSURE_SYSTEM": closure.system,
        "CLOSURE_NIX": closure.nix,
        "CLOSURE_CACERT": closure.cacert,
        "CLOSURE_MANUAL": closure.manual or "",
        "CLOSURE_PROFILE": manifest.profile,
        "CLOSURE_PATHS": str(len(closure.paths)),
        # b2sum takes 30 ms for it on any processor, sha256sum 20 to 110: the boot waits for it.
        "ARCHIVE_BLAKE2B": manifest.archive_blake2b,
        "ARCHIVE_PARTS": ",".join(map(str, manifest.archive_parts)),
    }
    for key, value in values.items():
        if not _SHELL_SAFE.fullmatch(value):
            raise VerificationError(
                f"writing closure.env: {key}: expected a value safe in a shell, got {quoted(value)}"
            )
    return "".join(f"{key}={value}\n" for key, value in values.items())


def write(manifest: Manifest, directory: Path) -> None:
    """Write closure.json, closure.env and closure.reginfo into ``directory``."""
    (directory / "closure.json").write_text(to_json(manifest), encoding="ascii")
    (directory / "closure.env").write_text(to_env(manifest), encoding="ascii")
    registration = reginfo.render(manifest.closure.paths)
    (directory / "closure.reginfo").write_text(registration, encoding="ascii")
