"""Prove the closure in a built package again: rpmbuild must not have changed what was staged."""

import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from nix_aurora.closure import proof
from nix_aurora.closure.unpack import unpack
from nix_aurora.errors import VerificationError, quoted
from nix_aurora.package.built import MANIFEST, PACKAGED_STORE, SPEC, WRAPPER, Package
from nix_aurora.store import hashes
from nix_aurora.store.paths import is_store_path
from nix_aurora.store.reginfo import PathInfo
from nix_aurora.store.tree import Tree


@dataclass(frozen=True, slots=True)
class _Manifest:
    """The facts of a closure.json that the package must match."""

    system: str
    nix: str
    paths: Sequence[PathInfo]


def check_closure(package: Package) -> None:
    """Prove the store of a binary package, and that its wrapper starts the Nix in that store."""
    manifest = _manifest(package, package.contents.get(MANIFEST))
    arch = package.header["arch"]
    if manifest.system != f"{arch}-linux":
        raise package.fault(MANIFEST, f"system {arch}-linux", manifest.system)
    _prove(package, manifest.paths, package.scratch / "store")
    if f"\nnix={manifest.nix}\n".encode() not in package.contents.get(WRAPPER, b""):
        raise package.fault(WRAPPER, f"a line nix={manifest.nix}", "none")


def check_sources(package: Package) -> None:
    """Prove each closure of a source package, and that its spec has the tarball's digest."""
    arches = package.header["exclusivearch"]
    closures = {arch: _closure_name(package, arch) for arch in arches}
    expected = {SPEC, *closures.values(), *(f"payload-{arch}.tar" for arch in arches)}
    if any(name.startswith("nixd-") for name in package.digests):
        expected |= {f"nixd-{arch}.tar" for arch in arches}
    if set(package.digests) != expected:
        raise package.fault("files", " ".join(sorted(expected)), " ".join(sorted(package.digests)))
    for arch, name in closures.items():
        digest = package.digests[name]
        if f"\n{digest}  ".encode() not in package.contents[SPEC]:
            raise package.fault(SPEC, f"the SHA-256 of {name}, {digest}", "none")
        _prove_source(package, arch, name)


def _closure_name(package: Package, arch: str) -> str:
    """Return the name of the tarball for ``arch``; a release has one of two compressions."""
    names = [f"closure-{arch}.tar.{suffix}" for suffix in ("xz", "zst")]
    return next((name for name in names if name in package.digests), names[0])


def _prove_source(package: Package, arch: str, name: str) -> None:
    """Prove that the tarball and build.py's additions are exactly what closure.json lists."""
    payload = f"payload-{arch}.tar"
    root, added = package.scratch / arch, package.scratch / f"{arch}-added"
    root.mkdir()
    try:
        with tarfile.open(fileobj=BytesIO(package.contents[payload]), mode="r:") as archive:
            manifest = _manifest(package, _content(archive, MANIFEST))
            _extract_store(archive, added)
    except (tarfile.TarError, ValueError) as error:
        raise package.fault(payload, "a tar with a store", str(error)) from error
    if manifest.system != f"{arch}-linux":
        raise package.fault(payload, f"system {arch}-linux", manifest.system)
    try:
        unpack(package.scratch / name, root)
    except VerificationError as error:
        raise VerificationError(f"cannot verify {package.path.name}: {error}") from error
    for path in sorted(added.iterdir()):
        if os.path.lexists(root / "store" / path.name):
            raise package.fault(payload, "none of the tarball's store paths", path.name)
        path.rename(root / "store" / path.name)
    _prove(package, manifest.paths, root / "store")


def _content(archive: tarfile.TarFile, name: str) -> bytes | None:
    try:
        member = archive.extractfile(name.lstrip("/"))
    except KeyError:  # no such member
        return None
    return member.read() if member else None


def _extract_store(archive: tarfile.TarFile, destination: Path) -> None:
    """Extract the store paths in a payload, and keep them writable so that they can be moved."""
    tree = Tree(destination)
    prefix = f"{PACKAGED_STORE.lstrip('/')}/"
    for member in archive:
        if not member.name.startswith(prefix):
            continue
        name = member.name.removeprefix(prefix)
        if not {"", ".", ".."}.isdisjoint(name.split("/")):
            raise ValueError(f"expected a plain path, got {quoted(member.name)}")
        if member.isdir():
            tree.add_directory(name)
        elif member.issym():
            tree.add_symlink(name, member.linkname)
        else:
            file = archive.extractfile(member)
            tree.add_file(name, False, iter([file.read()] if file else []), member.size)


def _prove(package: Package, paths: Sequence[PathInfo], store: Path) -> None:
    try:
        proof.prove(paths, store)
    except VerificationError as error:
        raise VerificationError(f"cannot verify {package.path.name}: {error}") from error


def _manifest(package: Package, content: bytes | None) -> _Manifest:
    if content is None:
        raise package.fault(MANIFEST, "a file", "none")
    try:
        manifest = json.loads(content)
        paths = tuple(_paths(manifest["paths"]))
        return _Manifest(str(manifest["system"]), str(manifest["nix"]), paths)
    except (ValueError, KeyError, TypeError) as error:
        raise package.fault(
            MANIFEST, "JSON that describes a closure", f"{type(error).__name__}: {error}"
        ) from error


def _paths(entries: Sequence[dict[str, object]]) -> Iterator[PathInfo]:
    for entry in entries:
        path, references = str(entry["path"]), entry["references"]
        if not is_store_path(path) or not isinstance(references, list):
            raise ValueError(f"expected a store path and its references, got {quoted(path)}")
        digest, size = hashes.parse_sha256(str(entry["narHash"])), int(str(entry["narSize"]))
        yield PathInfo(path, digest, size, tuple(map(str, references)), deriver="")
