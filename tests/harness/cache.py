"""Keep directories that are slow to make between runs of the tests."""

import fcntl
import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from nix_aurora import log
from nix_aurora.files import new_directory, remove_tree
from nix_aurora.release.cache import default_cache

_UNUSED = 24 * 60 * 60  # seconds


def cached(kind: str, key: str, make: Callable[[Path], None], *, top: Path | None = None) -> Path:
    """Return the directory ``kind/key`` of the cache; if it is missing, ``make`` fills it.

    The directory appears only when it is complete. If two runs need it, one waits for the other.
    ``top`` replaces the user's cache.
    """
    final = (top or default_cache()) / kind / key
    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with (final.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.is_dir():
            return final
        for leftover in final.parent.glob(f".{key}.*"):  # leftovers of killed runs
            remove_tree(leftover)
        with log.step(f"making {kind}/{key}"), new_directory(final) as temporary:
            make(temporary)
    return final


def prune(kind: str, keep: Path) -> None:
    """Remove the directories of ``kind`` that no run used for a day; ``keep`` is in use now."""
    os.utime(keep)
    for other in keep.parent.glob("*"):
        if other.is_dir() and time.time() - other.stat().st_mtime > _UNUSED:
            remove_tree(other)


def digest(*parts: str | Path) -> str:
    """Return a short key for strings, and for files and directories with all their content.

    Python's bytecode does not count.
    """
    total = sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(f"{part}\0".encode())
            continue
        for path in [part, *sorted(part.rglob("*"))]:
            if path.name == "__pycache__" or path.parent.name == "__pycache__":
                continue
            total.update(f"{path.relative_to(part)}\0{path.lstat().st_mode:o}\0".encode())
            if path.is_symlink():
                total.update(str(path.readlink()).encode())
            elif path.is_file():
                total.update(path.read_bytes())
    return total.hexdigest()[:16]
