"""The description of a packaged closure: closure.json for programs, closure.env for shells."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from nix_aurora.closure.proof import Closure
from nix_aurora.errors import VerificationError, quoted
from nix_aurora.store import hashes, reginfo

_SCHEMA = 2
# A POSIX shell takes these characters literally, unquoted, to the right of an assignment's `=`.
_SHELL_SAFE = re.compile(r"[0-9A-Za-z/._+,:@=-]*")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A closure, the path of its default profile, and the bytes that it needs on a disk.

    ``origin`` is the source of the closure, and ``accepted`` are the advisories that apply to it
    and were accepted.
    """

    closure: Closure
    profile: str
    size: int
    origin: Mapping[str, str | int]
    accepted: tuple[str, ...] = ()


def closure_id(closure: Closure) -> str:
    """Return 32 hex digits that are equal only for the same paths in the same roles."""
    digest = hashlib.sha256(reginfo.render(closure.paths).encode())
    for root in (closure.nix, closure.cacert, closure.manual or ""):
        digest.update(f"{root}\n".encode())
    return digest.hexdigest()[:32]


def to_json(manifest: Manifest) -> str:
    """Render closure.json with sorted keys, an indent of two, and a newline at the end."""
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
        "source": dict(manifest.origin),
        "acceptedAdvisories": sorted(manifest.accepted),
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def to_env(manifest: Manifest) -> str:
    """Render closure.env: ``KEY=value`` lines that a POSIX shell can source unchanged.

    Raises VerificationError for a value that a shell could interpret as more than text.
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
    }
    for key, value in values.items():
        if not _SHELL_SAFE.fullmatch(value):
            raise VerificationError(
                f"cannot write closure.env: {key}: "
                f"expected a value safe in a shell, got {quoted(value)}"
            )
    return "".join(f"{key}={value}\n" for key, value in values.items())
