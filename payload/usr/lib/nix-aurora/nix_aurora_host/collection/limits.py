"""Nix's min-free and max-free, which make builds collect garbage.

`nix-aurora gc enable` writes them into a file that nix.conf includes before nix.custom.conf, so
that the administrator's own values win.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nix_aurora_host import paths, replace
from nix_aurora_host.disk import sync
from nix_aurora_host.nixconf import parse_lines
from nix_aurora_host.system import read

_MOST = 8 << 30  # bytes
_PART = 20  # of the file system
_NAMES = ("min-free", "max-free")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits in bytes: with less than ``least`` free, builds collect until ``wanted`` are free."""

    least: int
    wanted: int


def choose(size: int) -> Limits:
    """Return the limits for a file system of ``size`` bytes: 5 %, and at most 8 GiB."""
    least = min(size // _PART, _MOST)
    return Limits(least, 3 * least)


def choose_here() -> Limits:
    """Return the limits for the file system of the store, or of /var before there is a store."""
    place = paths.BASE if Path(paths.BASE).is_dir() else "/var"
    space = os.statvfs(place)
    return choose(space.f_blocks * space.f_frsize)


def write(limits: Limits) -> None:
    """Write the file that nix.conf includes; raise OSError."""
    text = (
        "# Written by `nix-aurora gc enable` for the size of this disk, and removed by `gc "
        "disable`.\n# Your own values in nix.custom.conf win.\n"
        f"min-free = {limits.least}\nmax-free = {limits.wanted}\n"
    )
    replace.edit(paths.GC_CONF, lambda _: text.encode())


def remove() -> bool:
    """Remove that file; return whether there was one."""
    if not os.path.lexists(paths.GC_CONF):
        return False
    Path(paths.GC_CONF).unlink()
    sync(os.path.dirname(paths.GC_CONF))  # noqa: PTH120 - as the rest
    return True


def is_included() -> bool:
    """Return whether nix.conf includes that file: an edited one, or determinate-nixd's, may not."""
    names = {os.path.basename(paths.GC_CONF), paths.GC_CONF}  # noqa: PTH119 - as the rest
    texts = (read(path) or "" for path in (paths.NIX_CONF, paths.CUSTOM_CONF))
    lines = (words for text in texts for _, words in parse_lines(text))
    return any(words[0] in {"include", "!include"} and words[-1] in names for words in lines)


def read_values() -> Mapping[str, str]:
    """Return the effective values as they are written: the administrator's, or else ours."""
    files = [paths.GC_CONF] if is_included() else []
    return {
        words[0]: words[2]
        for path in (*files, paths.CUSTOM_CONF)
        for _, words in parse_lines(read(path) or "")
        if words[0] in _NAMES and words[1:2] == ["="] and len(words) == 3
    }
