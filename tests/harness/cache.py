"""Directories that are slow to make, kept between runs of the tests."""

import fcntl
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from nix_aurora import log
from nix_aurora.files import new_directory, remove_tree


def cache_directory() -> Path:
    """Give the project's own directory in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "nix-aurora"


def cached(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """Give the directory ``kind/key`` of the cache; where it is not there, ``make`` fills it.

    It appears whole or not at all, and of two runs at once one waits for the other.
    """
    final = cache_directory() / kind / key
    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with (final.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.is_dir():
            return final
        for leftover in final.parent.glob(f".{key}.*"):  # of a run that was killed
            remove_tree(leftover)
        with log.step(f"making {kind}/{key}"), new_directory(final) as temporary:
            make(temporary)
    return final


def digest(*parts: str | Path) -> str:
    """Give a short key for strings, and for directories with all that is in them."""
    total = sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(f"{part}\0".encode())
            continue
        for path in sorted(part.rglob("*")):
            total.update(f"{path.relative_to(part)}\0".encode())
            if path.is_symlink():
                total.update(str(path.readlink()).encode())
            elif path.is_file():
                total.update(path.read_bytes())
    return total.hexdigest()[:16]
