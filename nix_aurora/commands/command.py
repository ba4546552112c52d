"""The definition of a build.py command, and the options that all commands have."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nix_aurora.release import pins
from nix_aurora.release.cache import default_cache

TOP = Path(__file__).resolve().parents[2]
"""The project's directory."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that all commands have; ``arches`` is empty if no architecture was requested."""

    arches: tuple[str, ...]
    sources: tuple[str, ...]
    digests: tuple[str, ...]
    pins: Path
    advisories: Path
    out: Path
    cache: Path
    offline: bool
    level: int

    @classmethod
    def of(cls, words: argparse.Namespace) -> Self:
        """Return the options among the parsed ``words``."""
        return cls(
            arches=tuple(dict.fromkeys(words.arch or ())),
            sources=tuple(words.source or ()),
            digests=tuple(words.sha256 or ()),
            pins=words.pins,
            advisories=words.advisories,
            out=words.out.absolute(),
            cache=words.cache_dir or default_cache(),
            offline=words.offline,
            level=words.level,
        )


def _no_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add nothing to ``_parser``."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of build.py.

    ``run`` takes the common options and all parsed words, and returns the lines for stdout.
    ``add_arguments`` adds the command's own arguments to its parser. ``hint`` is the next step
    after a failed download or verification; None if the step depends on the source.
    """

    name: str
    summary: str
    example: str
    run: Callable[[Options, argparse.Namespace], list[str]]
    add_arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    hint: str | None = None


def common_parser() -> argparse.ArgumentParser:
    """Return a parser with the options that all commands have, as a parent for their parsers."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--arch",
        action="append",
        choices=pins.ARCHES,
        help="repeatable; default: this machine's, or every pinned one for srpm and release",
    )
    parser.add_argument(
        "--source",
        action="append",
        metavar="FILE|URL",
        help="installer or Nix binary tarball in place of the pinned one; repeat for each --arch",
    )
    parser.add_argument(
        "--sha256", action="append", metavar="HEX", help="digest of --source; a URL needs it"
    )
    parser.add_argument(
        "--pins",
        type=Path,
        default=TOP / "pins.toml",
        help="the pinned release; default: pins.toml",
    )
    parser.add_argument(
        "--advisories",
        type=Path,
        default=TOP / "advisories.toml",
        help="the security advisories; default: advisories.toml",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out"), help="directory for what is built; default: out"
    )
    default = str(default_cache()).replace("%", "%%")  # argparse formats the text
    parser.add_argument(
        "--cache-dir", type=Path, help=f"directory for downloads; default: {default}"
    )
    parser.add_argument("--offline", action="store_true", help="use only what is in the cache")
    parser.add_argument(
        "--level",
        type=int,
        choices=range(1, 20),
        metavar="1-19",
        default=19,
        help="compression level of the packages; default: 19",
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="show each command")
    loudness.add_argument("-q", "--quiet", action="store_true", help="show only warnings, errors")
    return parser
