"""Nix's registration of a closure, the tarball's ``.reginfo``.

Format: what ``nix-store --load-db`` reads (nix `src/libstore/store-api.cc`, decodeValidPathInfo)
and nixpkgs' closureInfo writes. Lines per path, with no blank ones between: the path, the
SHA-256 of its NAR, the NAR's size in bytes, the deriver (may be empty), the number of references,
and the references.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nix_aurora.errors import VerificationError, quoted
from nix_aurora.store import hashes
from nix_aurora.store.paths import base_name, is_store_path

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class PathInfo:
    """One store path: SHA-256 and size in bytes of its NAR, and the paths that it refers to.

    ``deriver`` is empty if it is not known.
    """

    path: str
    nar_hash: bytes
    nar_size: int
    references: tuple[str, ...]
    deriver: str

    @property
    def name(self) -> str:
        """Return the path's name in the store directory: ``<hash>-<name>``."""
        return base_name(self.path)


def parse(text: str) -> list[PathInfo]:
    """Parse a registration; keep its order.

    Raises VerificationError, naming line and path, for anything that is not exactly in the format.
    """
    if not text.endswith("\n"):
        last = text.count("\n") + 1
        raise _fault(last, None, "expected a newline at the end", "none" if text else "no text")
    lines = _Lines(text)
    paths: dict[str, PathInfo] = {}
    while not lines.at_end:
        info = _path_info(lines)
        if info.path in paths:
            raise _fault(lines.number, info.path, "expected each path once", "it a second time")
        paths[info.path] = info
    return list(paths.values())


def render(paths: Iterable[PathInfo]) -> str:
    """Render a registration canonically: paths and references sorted, hashes in Nix's base32."""
    lines: list[str] = []
    for info in sorted(paths, key=lambda info: info.path):
        lines += [info.path, hashes.to_nix(info.nar_hash), str(info.nar_size), info.deriver]
        lines += [str(len(info.references)), *sorted(info.references)]
    return "".join(line + "\n" for line in lines)


class _Lines:
    """The lines of a registration, and the number (from 1) of the last one that was read.

    They are split off one by one: a list of millions of empty ones would take ten times the memory
    of the text.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self.number = 0

    @property
    def at_end(self) -> bool:
        return self._position == len(self._text)

    def take(self, path: str | None, what: str) -> str:
        if self.at_end:
            raise _fault(self.number + 1, path, f"expected {what}", "the end")
        self.number += 1
        start, end = self._position, self._text.index("\n", self._position)
        self._position = end + 1
        return self._text[start:end]


def _path_info(lines: _Lines) -> PathInfo:
    path = lines.take(None, "a store path")
    if not is_store_path(path):
        raise _fault(lines.number, None, "expected a store path", quoted(path))
    spelled = lines.take(path, "the NAR hash")
    try:
        nar_hash = hashes.parse_sha256(spelled)
    except ValueError as error:
        where = f"line {lines.number}: {path}"
        raise VerificationError(f"cannot read the registration: {where}: {error}") from error
    nar_size = _number(lines, path, "the NAR size")
    deriver = lines.take(path, "the deriver")
    if deriver and not is_store_path(deriver):
        raise _fault(lines.number, path, "expected a deriver or an empty line", quoted(deriver))
    references: dict[str, None] = {}
    for _ in range(_number(lines, path, "the number of references")):
        reference = lines.take(path, "a reference")
        if not is_store_path(reference):
            raise _fault(
                lines.number, path, "expected a store path as reference", quoted(reference)
            )
        if reference in references:
            raise _fault(
                lines.number, path, "expected each reference once", f"{reference} a second time"
            )
        references[reference] = None
    return PathInfo(path, nar_hash, nar_size, tuple(references), deriver)


def _number(lines: _Lines, path: str, what: str) -> int:
    text = lines.take(path, what)
    if not _NUMBER.fullmatch(text):
        raise _fault(lines.number, path, f"expected {what} as a plain decimal", quoted(text))
    return int(text)


def _fault(line: int, path: str | None, expected: str, got: str) -> VerificationError:
    where = f"line {line}" + (f": {path}" if path else "")
    return VerificationError(f"cannot read the registration: {where}: {expected}, got {got}")
