"""The command line of build.py: arguments, the order of the stages, exit codes."""

import argparse
import json
import platform
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from nix_aurora import log, pins
from nix_aurora.errors import AuroraError, UsageError
from nix_aurora.fetch import default_cache, fetch
from nix_aurora.github import API
from nix_aurora.pack import pack
from nix_aurora.publish import CHROOTS, Publication, publish
from nix_aurora.release import make_release
from nix_aurora.repository import Repository, make_repository
from nix_aurora.rpmbuild import Prepared, build_rpm, build_srpm
from nix_aurora.source import Source, from_argument, from_pins
from nix_aurora.stage import Staged, stage
from nix_aurora.update import NIXD, Update, update
from nix_aurora.verify import verify

TOP = Path(__file__).resolve().parent.parent
_INTERRUPTED = 130


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


def _fetch(options: Options) -> list[str]:
    """build.py fetch --arch aarch64"""
    release = pins.load(options.pins)
    return [
        str(fetch(release.installer[arch], options.cache, offline=options.offline))
        for arch in options.arches or (_host_arch(),)
    ]


def _stage(options: Options) -> list[str]:
    """build.py stage --source nix-3.22.1-x86_64-linux.tar.xz"""
    return [str(staged.root) for staged in _staged(options, (_host_arch(),))]


def _srpm(options: Options) -> list[str]:
    """build.py srpm --offline"""
    srpm, _ = _build_srpm(options, pins.ARCHES)
    return [str(srpm)]


def _rpm(options: Options) -> list[str]:
    """build.py rpm --arch x86_64 --out /tmp/packages"""
    srpm, arches = _build_srpm(options, (_host_arch(),))
    built = [path for arch in arches for path in build_rpm(srpm, arch, options.out)]
    return [str(path) for path in (srpm, *built)]


def _release(options: Options) -> list[str]:
    """build.py release --tag v3.22.1-1"""
    srpm, arches = _build_srpm(options, pins.ARCHES)
    packages = [srpm, *(path for arch in arches for path in build_rpm(srpm, arch, options.out))]
    sboms = {arch: options.out / "closure" / arch / "closure.spdx.json" for arch in arches}
    files = make_release(packages, sboms, options.tag, options.out / "release")
    return [str(path) for path in files]


def _verify(options: Options) -> list[str]:
    """build.py verify out/nix-aurora-3.22.1-1.x86_64.rpm"""
    for path in options.packages:
        verify(path)
    return [str(path) for path in options.packages]


def _repo(options: Options) -> list[str]:
    """build.py repo /srv/nix-aurora --key 0123456789ABCDEF --baseurl https://example.org/nix"""
    assert options.repository  # noqa: S101 - the parser has made it
    return [str(make_repository(options.repository, options.out))]


def _publish(options: Options) -> list[str]:
    """build.py publish --project me/nix-aurora --chroot fedora-44-x86_64"""
    assert options.publication  # noqa: S101 - the parser has made it
    return [publish(options.publication, options.out)]


def _pins(options: Options) -> list[str]:
    """build.py pins update --version 3.22.1"""
    if options.update:
        return update(options.pins, options.update, options.cache)
    release = pins.load(options.pins)
    table = {
        kind: {arch: asdict(entries[arch]) for arch in sorted(entries)}
        for kind, entries in (
            ("installer", release.installer),
            ("nixd", release.nixd),
            ("tarball", release.tarball),
        )
    }
    if options.json:
        package = {"release": release.package_release, "date": release.date.isoformat()}
        content = {"version": release.version, "package": package, **table}
        return [json.dumps(content, indent=2, sort_keys=True)]
    return [f"release {release.version}"] + [
        f"{kind} {arch} {entry['size']} {entry['sha256']} {entry.get('url', '')}".rstrip()
        for kind, entries in table.items()
        for arch, entry in entries.items()
    ]


_COMMANDS: dict[str, tuple[Callable[[Options], list[str]], str]] = {
    "fetch": (_fetch, "download the pinned installer into the cache, and prove it"),
    "stage": (_stage, "unpack and check a closure as the host will have it"),
    "srpm": (_srpm, "build the source package, with every architecture at hand"),
    "rpm": (_rpm, "build the source package and the packages from it"),
    "release": (_release, "build what a release has: packages, SBOMs, checksums"),
    "verify": (_verify, "check built packages against the policy"),
    "repo": (_repo, "make a dnf repository of the built packages"),
    "publish": (_publish, "have COPR build the source package, and follow the builds"),
    "pins": (_pins, "show what is pinned, or pin another release"),
}


def _host_arch() -> str:
    arch = platform.machine()
    if arch not in pins.ARCHES:
        raise UsageError(
            f"choosing the architecture: this machine: expected one of {', '.join(pins.ARCHES)}, "
            f"got {arch}",
            hint="name one with --arch",
        )
    return arch


def _sources(options: Options, default: Sequence[str]) -> list[Source]:
    if not options.sources:
        if options.digests:
            raise UsageError("--sha256: expected a --source that it belongs to, got none")
        release = pins.load(options.pins)
        return [
            from_pins(release, arch, options.cache, offline=options.offline)
            for arch in options.arches or default
        ]
    if options.digests and len(options.digests) != len(options.sources):
        raise UsageError(
            f"--sha256: expected one for each of {len(options.sources)} sources, "
            f"got {len(options.digests)}"
        )
    digests = options.digests or (None,) * len(options.sources)
    return [
        from_argument(text, sha256, options.cache, offline=options.offline)
        for text, sha256 in zip(options.sources, digests, strict=True)
    ]


def _staged(options: Options, default: Sequence[str]) -> list[Staged]:
    """Stage every source; each architecture once, and those that were asked for only."""
    staged: dict[str, Staged] = {}
    wanted = options.arches or (() if options.sources else default)
    for source in _sources(options, default):
        result = stage(source.tarball, options.out, source.origin)
        arch = result.closure.arch
        if arch in staged:
            raise UsageError(f"--source: expected one for each architecture, got two for {arch}")
        if wanted and arch not in wanted:
            raise UsageError(
                f"--arch: expected a source for {' or '.join(wanted)}, got one for {arch}"
            )
        staged[arch] = result
    for arch in wanted:
        if arch not in staged:
            raise UsageError(f"--arch: expected a source for {arch}, got none")
    return list(staged.values())


def _build_srpm(options: Options, default: Sequence[str]) -> tuple[Path, list[str]]:
    packaging = pins.load(options.pins)
    prepared = []
    for staged in _staged(options, default):
        closure = staged.closure
        nixd = None
        if options.nixd:
            nixd = fetch(packaging.nixd[closure.arch], options.cache, offline=options.offline)
        directory = options.out / "closure" / closure.arch
        packed = pack(staged, directory, date=packaging.date, level=options.level)
        prepared.append(Prepared(closure, packed, nixd))
    srpm = build_srpm(
        prepared, TOP, options.out, release=packaging.package_release, date=packaging.date
    )
    return srpm, [item.closure.arch for item in prepared]


def _parser() -> argparse.ArgumentParser:
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
    common.add_argument("--pins", type=Path, default=TOP / "pins.toml", help="default: pins.toml")
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
        help="how hard zstd compresses the closure; default: 19",
    )
    loudness = common.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="show each command")
    loudness.add_argument("-q", "--quiet", action="store_true", help="show warnings and errors")

    parser = argparse.ArgumentParser(
        prog="build.py",
        description="Build nix-aurora's RPMs from a pinned Determinate Nix release.",
        epilog="exit codes: 0 done, 1 reading or writing, 2 usage, 3 pins, 4 fetch, "
        "5 verification, 6 a tool failed, 7 asking COPR, 8 a build at COPR, 130 interrupted",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (function, summary) in _COMMANDS.items():
        command = commands.add_parser(
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
    return parser


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


def _options(arguments: argparse.Namespace) -> Options:
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


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code; results are on stdout, one a line."""
    arguments = _parser().parse_args(argv)
    level = log.Level.VERBOSE if arguments.verbose else log.Level.NORMAL
    log.configure(log.Level.QUIET if arguments.quiet else level)
    signal.signal(signal.SIGTERM, _terminate)  # clean up as on Ctrl-C
    function, _ = _COMMANDS[arguments.command]
    try:
        results = function(_options(arguments))
    except AuroraError as error:
        log.error(error.message, error.hint)
        if arguments.verbose:
            traceback.print_exc()
        return error.exit_code
    except OSError as error:  # a full disk, a directory that is not ours
        log.error(f"{error.filename or 'reading or writing'}: {error.strerror}")
        if arguments.verbose:
            traceback.print_exc()
        return 1
    except KeyboardInterrupt:
        log.error("interrupted: nothing half-made is left")
        return _INTERRUPTED
    for line in results:
        sys.stdout.write(f"{line}\n")
    return 0
