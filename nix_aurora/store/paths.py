"""Store paths as text: ``/nix/store/<hash>-<name>``."""

import hashlib
import re
from collections.abc import Iterable

from nix_aurora.store import hashes

STORE = "/nix/store"

_HASH_LENGTH = 32  # characters before the dash
# nix `src/libstore/path.cc`, checkName, and StorePath::HashLen.
_STORE_NAME = re.compile(r"[0-9a-df-np-sv-z]{32}-(?!\.)[0-9a-zA-Z+\-._?=]{1,211}")
# nix `src/libstore/names.cc`, DrvName: the version follows the first dash before a non-letter.
_NAME = re.compile(r"(?P<name>.*?)(?:-(?P<version>[^A-Za-z].*))?", re.DOTALL)


def base_name(path: str) -> str:
    """Return the name of a store path in the store directory: ``<hash>-<name>``."""
    return path[len(STORE) + 1 :]


def plain_name(path: str) -> str:
    """Return a store path's name without the hash, with its version."""
    return base_name(path)[_HASH_LENGTH + 1 :]


def is_store_name(name: str) -> bool:
    """Return whether ``name``, without the store directory, is a valid name of a store path."""
    return _STORE_NAME.fullmatch(name) is not None


def is_store_path(path: str) -> bool:
    """Return whether ``path`` is a store path of /nix/store itself, not something below one."""
    return path.startswith(STORE + "/") and is_store_name(base_name(path))


def store_path(kind: str, sha256: bytes, references: Iterable[str], name: str) -> str:
    """Return the content-addressed path; the Nix manual, "Store Path Specification".

    ``kind`` is "source" if ``sha256`` is that of the NAR, or "text" if it is that of the file.
    """
    words = (kind, *sorted(references), "sha256", sha256.hex(), STORE, name)
    digest = hashlib.sha256(":".join(words).encode()).digest()
    folded = bytes(a ^ b for a, b in zip(digest[:12], digest[20:], strict=True)) + digest[12:20]
    return f"{STORE}/{hashes.to_base32(folded)}-{name}"


def split_name(path: str) -> tuple[str, str]:
    """Split the name in a store path into name and version (may be empty), as Nix does."""
    name = path.rpartition("/")[2][_HASH_LENGTH + 1 :]
    match = _NAME.fullmatch(name)
    return (match["name"], match["version"] or "") if match else (name, "")
