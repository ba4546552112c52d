"""Keep downloads in a cache in which no unverified file has its final name."""

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from nix_aurora import files, log
from nix_aurora.errors import FetchError
from nix_aurora.release.http import download, download_unpinned
from nix_aurora.release.network import PATIENCE, WITHOUT_NETWORK, Patience, fault
from nix_aurora.release.pins import Artifact, Digest

_STALE = 24 * 3600  # seconds; no running build has an older temporary file


def default_cache() -> Path:
    """Return our part of the user's cache directory (XDG Base Directory Specification)."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the specification says to ignore such a value
        base = Path.home() / ".cache"
    return base / "nix-aurora"


def fetch(
    artifact: Artifact, cache: Path, *, offline: bool = False, patience: Patience = PATIENCE
) -> Path:
    """Return the verified file, from the cache or else downloaded into it.

    With ``offline`` only the cache is used. Raises FetchError.
    """
    folder = cache / "downloads"
    final = folder / _cached_name(artifact.sha256, artifact.url)
    with _keeping(folder):
        if _is_good(final, artifact):
            log.detail(f"in the cache: {final.name}")
            return final
        if offline:
            raise fault(
                artifact.url, f"offline: expected it in {folder}, got nothing", WITHOUT_NETWORK
            )
        folder.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for another build to download {artifact.url}"
        with _locked(folder / f".{artifact.sha256}.lock", waiting):
            if not _is_good(final, artifact):  # otherwise that build has downloaded it
                if final.exists():
                    log.warn(f"in the cache: {final.name}: not the pinned bytes: fetching it again")
                    final.unlink()
                sweep(folder)
                _fetch_new(artifact, final, patience)
    return final


def fetch_unpinned(url: str, cache: Path, *, patience: Patience = PATIENCE) -> tuple[Path, Digest]:
    """Download a file without a pin yet; return its path in the cache and its digest.

    Its name in the cache is the same after it is pinned. Raises FetchError.
    """
    folder = cache / "downloads"
    with _keeping(folder):
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        with _new_part(folder, "unpinned") as (part, file):
            found = download_unpinned(url, file, patience)
            final = folder / _cached_name(found.sha256, url)
            _finish(part, file, final)
    return final, found


def sweep(folder: Path) -> None:
    """Remove the temporary files of killed builds in a folder of the cache."""
    limit = time.time() - _STALE
    for path in folder.glob(".*"):
        if path.suffix == ".lock":
            continue
        try:
            if path.stat().st_mtime < limit:
                path.unlink()
        except FileNotFoundError:  # another build has just renamed or removed it
            continue


def _cached_name(sha256: str, url: str) -> str:
    name = urlsplit(url).path.rpartition("/")[2]
    return f"{sha256}-" + (re.sub(r"[^A-Za-z0-9._+-]", "_", name)[-100:] or "download")


def _is_good(path: Path, artifact: Artifact) -> bool:
    if not path.is_file() or artifact.size not in {None, path.stat().st_size}:
        return False
    return files.sha256_file(path) == artifact.sha256


@contextmanager
def _locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold a lock file, and keep it: if it were removed, a third build could pass a waiting one."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    """Turn errors of the cache's files into FetchError."""
    try:
        yield
    except OSError as error:
        raise FetchError(
            f"cannot keep a download: {error.filename or folder}: {error.strerror}",
            hint="XDG_CACHE_HOME=DIRECTORY build.py ...",
        ) from error


@contextmanager
def _new_part(folder: Path, name: str) -> Iterator[tuple[Path, BinaryIO]]:
    """Yield a temporary file of the cache; remove it afterwards unless it was renamed."""
    handle, path = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield Path(path), file
    finally:
        Path(path).unlink(missing_ok=True)


def _finish(part: Path, file: BinaryIO, final: Path) -> None:
    """Sync a download to the disk, then rename it to its name in the cache."""
    file.flush()
    os.fsync(file.fileno())
    part.replace(final)


def _fetch_new(artifact: Artifact, final: Path, patience: Patience) -> None:
    with _new_part(final.parent, artifact.sha256) as (part, file):
        download(artifact, file, patience)
        _finish(part, file, final)
