"""Make the tarball for a target, or return the existing one."""

import fcntl
import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nix_aurora import log
from nix_aurora.files import new_file, sha256_file
from nix_aurora.run import run
from sample import closure, debs, tarball
from sample.debs import Archive, Package
from sample.store import reginfo
from sample.target import Architecture, Target

LEVEL = 6
"""xz's level for a tarball of a release's size."""


def make(
    target: Target, *, cache: Path, out: Path, refresh: bool = False, level: int = LEVEL
) -> Path:
    """Return the path of ``out/nix-<version>-<system>.tar.xz``; create it if necessary.

    ``<tarball>.key`` beside it identifies its sources. ``cache`` keeps downloads; ``refresh`` first
    looks for newer packages. ``level`` is xz's: tests do not need the best one.
    """
    cache.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    with _lock(cache):
        archive = Archive(target, cache)
        packages = {package.name: package for package in archive.resolve(refresh=refresh)}
        recipe = _recipe()
        name = f"nix-{packages['nix-bin'].upstream_version}-{target.system}"
        result, key_file = out / f"{name}.tar.xz", out / f"{name}.tar.xz.key"
        key = _key(target, list(packages.values()), recipe, level)
        if result.exists() and key_file.exists() and key_file.read_text() == key:
            log.info(f"{result.name}: made before, from the same inputs")
            return result
        files = archive.fetch(list(packages.values()))
        with tempfile.TemporaryDirectory(dir=out, prefix=".sample.") as scratch:
            _build(
                result,
                packages,
                files,
                top=Path(scratch, name),
                architecture=target.architecture,
                recipe=recipe,
                level=level,
            )
        with new_file(key_file) as file:
            file.write_text(key)
        return result


def _build(
    result: Path,
    packages: dict[str, Package],
    files: dict[str, Path],
    *,
    top: Path,
    architecture: Architecture,
    recipe: str,
    level: int,
) -> None:
    """Make the closure in ``top``, whose name becomes the archive's top directory, and pack it."""
    trees = top.parent / "packages"
    with log.step(f"Unpacking {len(files)} packages"):
        for package, file in files.items():
            debs.unpack(file, trees / package)
    with log.step("Making the closure"):
        made = closure.make(
            packages,
            trees,
            top / "store",
            architecture=architecture,
            recipe=recipe,
        )
        (top / ".reginfo").write_text(reginfo(made.registrations), encoding="utf-8")
        tarball.write_installers(top, nix=made.nix, manual=made.manual, cacert=made.cacert)
    total = sum(registration.nar.size for registration in made.registrations)
    log.info(f"{len(made.registrations)} store paths, {total} bytes of NARs")
    with log.step(f"Packing {result.name}"):
        tarball.pack(top, result, level=level)


def _recipe() -> str:
    """Return a digest of the other inputs of the result: our sources, and patchelf."""
    sources = sorted(
        path for path in Path(__file__).parent.iterdir() if path.suffix in {".py", ".in"}
    )
    return _digest([*map(sha256_file, sources), run(["patchelf", "--version"])])


def _key(target: Target, packages: Sequence[Package], recipe: str, level: int) -> str:
    inputs = [target.system, recipe, str(level), *(package.sha256 for package in packages)]
    return _digest(inputs) + "\n"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@contextmanager
def _lock(cache: Path) -> Iterator[None]:
    """Lock the cache for one run at a time, since apt does not lock it."""
    with (cache / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
