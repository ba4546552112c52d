"""Prove a Nix closure: the files match their registration, and nothing is missing."""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nix_aurora import log
from nix_aurora.closure import parts
from nix_aurora.closure.unpack import Unpacked
from nix_aurora.errors import VerificationError, quoted
from nix_aurora.release import elf
from nix_aurora.store import hashes, links, nar, reginfo
from nix_aurora.store.paths import STORE, base_name
from nix_aurora.store.reginfo import PathInfo
from nix_aurora.text import LIMIT, printable

# …-determinate-nix-3.22.1, …-nix-2.34.8
_NIX_NAME = re.compile(r"[^-]{32}-(?:determinate-)?nix-(\d.*)")
_TOP = re.compile(r"nix-.+-(x86_64|aarch64)-linux")
_COMMAND = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]*")  # names that may be installed in /usr/bin


@dataclass(frozen=True, slots=True)
class Closure:
    """A proven closure.

    ``name`` is the tarball's top directory, ``version`` comes from the name of Nix's path,
    ``system`` is in Nix's spelling (``x86_64-linux``), ``arch`` in RPM's (``x86_64``). ``nix``,
    ``cacert`` and ``manual`` are store paths, ``commands`` the names in ``<nix>/bin``; ``paths`` is
    sorted.
    """

    version: str
    system: str
    arch: str
    nix: str
    cacert: str
    manual: str | None
    paths: tuple[PathInfo, ...]
    commands: tuple[str, ...]
    name: str


def check(unpacked: Unpacked, store: Path) -> Closure:
    """Prove the closure in ``store`` against its registration and its own install scripts.

    Raises VerificationError, naming the path, at the first difference.
    """
    paths = tuple(sorted(reginfo.parse(unpacked.reginfo), key=lambda info: info.path))
    prove(paths, store)
    found = parts.find(unpacked.scripts, paths, store)
    match = _NIX_NAME.fullmatch(base_name(found.nix))
    if match is None:
        raise _fault(found.nix, "expected a name <hash>-nix-<version>", "another")
    arch = _architecture(unpacked.name, found.nix, store)
    return Closure(
        version=match[1],
        system=f"{arch}-linux",
        arch=arch,
        nix=found.nix,
        cacert=found.cacert,
        manual=found.manual,
        paths=paths,
        commands=_commands(found.nix, store),
        name=unpacked.name,
    )


def prove(paths: Sequence[PathInfo], store: Path) -> None:
    """Prove that ``store`` has ``paths`` and nothing else, and that they refer to no other paths.

    Raises VerificationError, naming the path, at the first difference.
    """
    _check_listing(paths, store)
    _check_references(paths)
    _check_hashes(paths, store)


def _check_listing(paths: Sequence[PathInfo], store: Path) -> None:
    registered = {info.name for info in paths}
    present = {entry.name for entry in store.iterdir()}
    for name in sorted(registered - present):
        raise _fault(f"{STORE}/{name}", "expected a registered path in the store", "none")
    for name in sorted(present - registered):
        raise _fault(f"{STORE}/{name}", "expected only registered paths", "one that is not")


def _check_references(paths: Sequence[PathInfo]) -> None:
    references: dict[str, set[str]] = {
        info.path: set(info.references) - {info.path} for info in paths
    }
    for info in paths:
        for reference in info.references:
            if reference not in references:
                raise _fault(
                    info.path, "expected references inside the closure", f"one to {reference}"
                )
    _check_acyclic(references)


def _check_acyclic(references: Mapping[str, set[str]]) -> None:
    referrers: dict[str, list[str]] = {path: [] for path in references}
    for path, targets in references.items():
        for target in targets:
            referrers[target].append(path)
    waiting = {path: len(targets) for path, targets in references.items()}
    free = [path for path, count in waiting.items() if count == 0]
    while free:
        path = free.pop()
        del waiting[path]
        for referrer in referrers[path]:
            waiting[referrer] -= 1
            if waiting[referrer] == 0:
                free.append(referrer)
    if waiting:
        # Each remaining path is on a cycle or refers to one: follow references until a path
        # repeats.
        path, seen = min(waiting), set[str]()
        while path not in seen:
            seen.add(path)
            path = min(references[path] & waiting.keys())
        raise _fault(path, "expected references without cycles", "a path that needs itself")


def _check_hashes(paths: Sequence[PathInfo], store: Path) -> None:
    largest_first = sorted(paths, key=lambda info: -info.nar_size)
    total = sum(info.nar_size for info in paths)
    pool = ThreadPoolExecutor(os.cpu_count() or 1)  # hashing and reading release the GIL
    try:
        with log.progress("checking the closure", total) as done:
            jobs = pool.map(lambda info: nar.nar_hash(store / info.name), largest_first)
            for info, found in zip(largest_first, jobs, strict=True):
                _check_hash(info, found)
                done(info.nar_size)
    finally:
        pool.shutdown(cancel_futures=True)


def _check_hash(info: PathInfo, found: nar.NarHash) -> None:
    if found.size != info.nar_size:
        raise _fault(info.path, f"expected a NAR of {info.nar_size} bytes", f"{found.size}")
    if found.sha256 != info.nar_hash:
        raise _fault(
            info.path,
            f"expected NAR hash {hashes.to_sri(info.nar_hash)}",
            hashes.to_sri(found.sha256),
        )


def _architecture(name: str, nix: str, store: Path) -> str:
    program = f"{nix}/bin/nix"
    try:
        built_for = elf.architecture(links.resolve(store, program))
    except ValueError as error:
        raise VerificationError(f"cannot verify the closure: {program}: {error}") from error
    match = _TOP.fullmatch(name)
    promised = match[1] if match else None
    arch = built_for or promised
    if arch is None:
        raise _fault(name, "expected a system x86_64-linux or aarch64-linux in the name", "another")
    if promised not in {None, arch}:
        raise _fault(program, f"expected a program for {promised}, as {printable(name)} says", arch)
    return arch


def _commands(nix: str, store: Path) -> tuple[str, ...]:
    directory = links.resolve(store, f"{nix}/bin")
    names = sorted(entry.name for entry in directory.iterdir())
    for name in names:
        command = f"{nix}/bin/{name}"
        if not _COMMAND.fullmatch(name):
            raise _fault(command, "expected a plain command name", quoted(name))
        mode = links.resolve(store, command).stat().st_mode
        if not (stat.S_ISREG(mode) and mode & stat.S_IXUSR):
            raise _fault(command, "expected an executable file", "something else")
    return tuple(names)


def _fault(subject: str, expected: str, got: str) -> VerificationError:
    where = f"cannot verify the closure: {printable(subject)}"
    return VerificationError(f"{where}: {expected}, got {printable(got, 2 * LIMIT)}")
