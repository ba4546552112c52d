"""The staged tree ``out/stage/<arch>/var/lib/nix``: a proven closure in the layout of a host."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nix_aurora import files, log
from nix_aurora.closure.profile import add_profile
from nix_aurora.closure.proof import Closure, check
from nix_aurora.closure.unpack import unpack
from nix_aurora.store import reginfo


@dataclass(frozen=True, slots=True)
class Staged:
    """A staged closure, with the default profile and its manifest as two more store paths.

    ``profile`` is the path of the profile, ``added`` has both paths; ``root`` is the directory
    ``…/var/lib/nix``, with ``store``, an empty ``var/nix`` and a canonical ``.reginfo``.
    ``tarball`` has all other store paths; ``sha256``, in hex, is its digest when it was unpacked.
    ``origin`` is the source of the tarball, passed on unchanged.
    """

    closure: Closure
    profile: str
    added: tuple[str, ...]
    root: Path
    tarball: Path
    sha256: str
    origin: Mapping[str, str | int]


def stage(tarball: Path, out: Path, origin: Mapping[str, str | int]) -> Staged:
    """Unpack and prove ``tarball``, and move it to ``out/stage/<arch>/var/lib/nix``.

    Only a proven closure replaces an earlier one there; after VerificationError the earlier one is
    unchanged.
    """
    base = out / "stage"
    base.mkdir(parents=True, exist_ok=True)
    with _workspace(base) as work:
        root = work / "var/lib/nix"
        (root / "var/nix").mkdir(parents=True)
        with log.step(f"Unpacking {tarball.name}"):
            unpacked = unpack(tarball, root)
        with log.step("Checking the closure"):
            closure = check(unpacked, root / "store")
        profile, its_manifest = add_profile(closure, root / "store")
        paths = sorted((*closure.paths, profile, its_manifest), key=lambda info: info.path)
        closure = replace(closure, paths=tuple(paths))
        (root / ".reginfo").write_text(reginfo.render(closure.paths), encoding="ascii")
        final = base / closure.arch
        with files.new_directory(final) as fresh:
            (work / "var").rename(fresh / "var")
    return Staged(
        closure=closure,
        profile=profile.path,
        added=(profile.path, its_manifest.path),
        root=final / "var/lib/nix",
        tarball=tarball,
        sha256=unpacked.sha256,
        origin=origin,
    )


@contextmanager
def _workspace(base: Path) -> Iterator[Path]:
    """Yield a temporary directory in ``base``, after removing leftovers of interrupted runs.

    Only one run at a time uses ``base``: the next one waits, since the leftovers that it removes
    could otherwise be in use.
    """
    lock = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in base.glob(".*"):
            log.detail(f"removing what an interrupted run has left: {leftover}")
            files.remove_tree(leftover)
        work = Path(tempfile.mkdtemp(dir=base, prefix=".unpacking."))
        try:
            work.chmod(0o755)
            yield work
        finally:
            files.remove_tree(work)
    finally:
        os.close(lock)
