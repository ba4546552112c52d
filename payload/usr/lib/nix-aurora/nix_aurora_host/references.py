"""What a store path refers to, told by what is on disk, as Nix's own scanner tells it.

A reference is the hash part of another path's name, anywhere in a file, a link or a file's name.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.system import names

_NAME = re.compile(r"([0-9a-df-np-sv-z]{32})-[0-9A-Za-z+\-._?=]{1,211}")
_LENGTH = 32  # characters of a hash part, in Nix's own base 32
_RUN = re.compile(rb"[0-9a-df-np-sv-z]{%d,}" % _LENGTH)
_CHUNK = 1 << 20
# What Nix gives all files that it has made valid (canonicalisePathMetaData).
_MODES = {0o444, 0o555}
_MTIME = 1
# Derive([outputs],[inputs that are derivations],[others],"system",...: the last two are what a
# derivation refers to. All else in it, its outputs above all, are paths that need not be there.
_DERIVATION = re.compile(rb'Derive\(\[.*?\],\[(.*?)\],\[(.*?)\],"', re.DOTALL)
_INPUT = re.compile(rb'"%s/([^"/]+)"' % paths.PREFIX.encode())


class UnfitError(Exception):
    """Why a path is not as Nix has left it: interrupted when it was made or deleted, or changed."""


def store_names(store: str) -> dict[bytes, str]:
    """Give the names of the store's paths by their hash part.

    A path's lock and the like, which have its name with an ending, do not take its place.
    """
    found = (_NAME.fullmatch(name) for name in reversed(names(store) or ()))
    return {match[1].encode(): match[0] for match in found if match}


def scan(store: str, name: str, known: Mapping[bytes, str]) -> tuple[set[str], int]:
    """Give the names that the store path ``name`` refers to, and its size in bytes.

    ``known`` is what there is, from store_names(). Raises UnfitError.
    """
    references: set[str] = set()
    size = 0
    top = f"{store}/{name}"
    owner = Path(store).stat().st_uid
    for path, status in _walk(top):
        _check(path, status, owner)
        size += status.st_size
        if path != top:
            references |= _find(os.fsencode(os.path.basename(path)), known)  # noqa: PTH119 - bytes
        if stat.S_ISLNK(status.st_mode):
            references |= _find(os.fsencode(Path(path).readlink()), known)
        elif stat.S_ISREG(status.st_mode):
            derivation = path == top and name.endswith(".drv")
            references |= _inputs(path, known) if derivation else _read(path, known)
    return references, size


def _walk(top: str) -> Iterator[tuple[str, os.stat_result]]:
    pending = [top]
    while pending:
        path = pending.pop()
        status = os.lstat(path)
        yield path, status
        if stat.S_ISDIR(status.st_mode):
            pending += (entry.path for entry in os.scandir(path))


def _check(path: str, status: os.stat_result, owner: int) -> None:
    link = stat.S_ISLNK(status.st_mode)
    if not (link or stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise UnfitError(f"{path} is no file, directory or link")
    mode = stat.S_IMODE(status.st_mode)
    made = link or mode in _MODES
    if not made or status.st_uid != owner or status.st_mtime_ns != _MTIME * 10**9:
        raise UnfitError(f"{path} is not as Nix leaves it: mode {mode:o}, uid {status.st_uid}")


def _read(path: str, known: Mapping[bytes, str]) -> set[str]:
    found: set[str] = set()
    tail = b""
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            found |= _find(tail + chunk, known)
            tail = (tail + chunk)[1 - _LENGTH :]
    return found


def _find(text: bytes, known: Mapping[bytes, str]) -> set[str]:
    found = set()
    for match in _RUN.finditer(text):
        run = match[0]
        for start in range(len(run) - _LENGTH + 1):
            if name := known.get(run[start : start + _LENGTH]):
                found.add(name)
    return found


def _inputs(path: str, known: Mapping[bytes, str]) -> set[str]:
    match = _DERIVATION.match(Path(path).read_bytes())
    if match is None:
        raise UnfitError(f"{path} is no derivation")
    inputs = _INPUT.findall(b",".join(match.groups()))
    wanted = {name.decode() for name in inputs}
    if gone := wanted - set(known.values()):
        raise UnfitError(f"{path} needs {min(gone)}, which is not there")
    return wanted
