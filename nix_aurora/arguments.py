"""The arguments of build.py, and what they ask for."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nix_aurora.errors import UsageError
from nix_aurora.publish.publish import CHROOTS, Publication
from nix_aurora.publish.repository import Repository
from nix_aurora.release import pins
from nix_aurora.release.fetch import default_cache
from nix_aurora.release.github import API
from nix_aurora.release.update import NIXD, Update

PINS = Path(__file__).resolve().parent.parent / "pins.toml"


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, parsed. ``arches`` is empty where none was asked for."""

    arches: tuple[str, ...]
    sources: tuple[str, ...]
    digests: tuple[str, ...]
    pins: Path
    out: Path
    cache: Path
    offline: bool
    level: int
    json: bool
    nixd: bool
    packages: tuple[Path, ...]
    tag: str | None
    repository: Repository | None
    publication: Publication | None
    update: Update | None


# What a command does, with an example of it for its docstring, and a word about it.
Command = tuple[Callable[[Options], list[str]], str]


def parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Give the parser for ``commands``, by name."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--arch",
        action="append",
        choices=pins.ARCHES,
        help="may be repeated; default: this machine's, for srpm and release every pinned one",
    )
    common.add_argument(
        "--source",
        action="append",
        metavar="FILE|URL",
        help="installer or Nix binary tarball in place of the pinned one, once per architecture",
    )
    common.add_argument(
        "--sha256", action="append", metavar="HEX", help="its digest; an https URL needs it"
    )
    common.add_argument("--pins", type=Path, default=PINS, help="default: pins.toml")
    common.add_argument("--out", type=Path, default=Path("out"), help="default: out")
    default = str(default_cache()).replace("%", "%%")  # argparse formats it
    common.add_argument("--cache-dir", type=Path, help=f"default: {default}")
    common.add_argument("--offline", action="store_true", help="use what is cached, or fail")
    common.add_argument(
        "--level",
        type=int,
        choices=range(1, 20),
        metavar="1-19",
        default=19,
        help="how hard rpm compresses the packages; default: 19",
    )
    loudness = common.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="show each command")
    loudness.add_argument("-q", "--quiet", action="store_true", help="show warnings and errors")

    result = argparse.ArgumentParser(
        prog="build.py",
        description="Build nix-aurora's RPMs from a pinned Determinate Nix release.",
        epilog="exit codes: 0 done, 1 reading or writing, 2 usage, 3 pins, 4 fetch, "
        "5 verification, 6 a tool failed, 7 asking COPR, 8 a build at COPR, 130 interrupted",
    )
    subparsers = result.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (function, summary) in commands.items():
        command = subparsers.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=f"example: {function.__doc__}",
            parents=[common],
        )
        if name == "release":
            command.add_argument("--tag", metavar="vVERSION-RELEASE", help="refuse any other")
        if name in {"srpm", "rpm"}:
            command.add_argument(
                "--with",
                dest="extras",
                action="append",
                choices=("nixd",),
                help="nixd: the proprietary determinate-nixd as well, as a package of its own",
            )
        if name == "verify":
            command.add_argument("packages", nargs="+", type=Path, metavar="RPM")
        if name == "repo":
            _add_repository(command)
        if name == "publish":
            _add_publication(command)
        if name == "pins":
            _add_pins(command)
    return result


def _add_repository(command: argparse.ArgumentParser) -> None:
    command.add_argument("directory", type=Path, metavar="DIR", help="new, or one to replace")
    signing = command.add_mutually_exclusive_group()
    signing.add_argument("--key", metavar="ID|FINGERPRINT", help="gpg key that signs")
    signing.add_argument("--unsigned", action="store_true", help="sign nothing: for tests alone")
    command.add_argument(
        "--baseurl", metavar="URL", help="where hosts will find it; default: file://DIR"
    )


def _add_publication(command: argparse.ArgumentParser) -> None:
    command.add_argument("--project", required=True, metavar="OWNER/NAME", help="made if missing")
    command.add_argument(
        "--chroot",
        action="append",
        metavar="NAME",
        help=f"may be repeated; default: {' '.join(CHROOTS)}",
    )
    command.add_argument("--srpm", type=Path, metavar="FILE", help="default: the one in --out")
    command.add_argument("--config", type=Path, metavar="FILE", help="default: ~/.config/copr")
    command.add_argument("--follow", type=int, metavar="BUILD", help="follow it, upload nothing")


def _add_pins(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "action", nargs="?", choices=("show", "update"), default="show", help="default: show"
    )
    command.add_argument("--json", action="store_true", help="show: for programs")
    command.add_argument(
        "--version", metavar="V", help="update: to this one, also back to it; default: the newest"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="update: download, and show what would change"
    )
    command.add_argument("--github", metavar="URL", default=API, help=f"default: {API}")
    command.add_argument("--nixd", metavar="URL", default=NIXD, help=f"default: {NIXD}")


def options(arguments: argparse.Namespace) -> Options:
    """Give what was asked for; UsageError for arguments that do not go together."""
    return Options(
        arches=tuple(dict.fromkeys(arguments.arch or ())),
        sources=tuple(arguments.source or ()),
        digests=tuple(arguments.sha256 or ()),
        pins=arguments.pins,
        out=arguments.out.absolute(),
        cache=arguments.cache_dir or default_cache(),
        offline=arguments.offline,
        level=arguments.level,
        json=getattr(arguments, "json", False),
        nixd="nixd" in (getattr(arguments, "extras", None) or ()),
        packages=tuple(getattr(arguments, "packages", ())),
        tag=getattr(arguments, "tag", None),
        repository=_repository(arguments) if arguments.command == "repo" else None,
        publication=_publication(arguments) if arguments.command == "publish" else None,
        update=_update(arguments) if arguments.command == "pins" else None,
    )


def _repository(arguments: argparse.Namespace) -> Repository:
    return Repository(
        arguments.directory.absolute(), arguments.key, arguments.unsigned, arguments.baseurl
    )


def _publication(arguments: argparse.Namespace) -> Publication:
    return Publication(
        arguments.project,
        tuple(dict.fromkeys(arguments.chroot or ())),
        arguments.srpm,
        arguments.config,
        arguments.follow,
    )


def _update(arguments: argparse.Namespace) -> Update | None:
    """Give what ``pins update`` is asked for, None for ``pins show``."""
    of_the_other = {
        "show": [("--version", arguments.version), ("--dry-run", arguments.dry_run)],
        "update": [("--json", arguments.json), ("--offline", arguments.offline)],
    }
    for option, given in of_the_other[arguments.action]:
        if given:
            raise UsageError(f"{option}: expected none with pins {arguments.action}, got it")
    if arguments.action == "show":
        return None
    try:
        return Update(
            arguments.version and pins.check_version(arguments.version.removeprefix("v")),
            arguments.dry_run,
            pins.check_url(arguments.github),
            pins.check_url(arguments.nixd),
        )
    except ValueError as error:
        raise UsageError(f"pins update: {error}") from error
