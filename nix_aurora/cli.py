"""The command line of build.py: the order of the stages, exit codes."""

import argparse
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn

from nix_aurora import arguments, log
from nix_aurora.arguments import Command, Options
from nix_aurora.closure.description import SBOM, describe
from nix_aurora.closure.stage import Staged, stage
from nix_aurora.errors import AuroraError, FetchError, UsageError, VerificationError
from nix_aurora.package.rpmbuild import Prepared, build_rpm, build_srpm
from nix_aurora.package.verify import verify
from nix_aurora.publish.publish import publish
from nix_aurora.publish.release import make_release
from nix_aurora.publish.repository import make_repository
from nix_aurora.release import pins
from nix_aurora.release.fetch import fetch
from nix_aurora.release.source import Source, from_argument, from_pins
from nix_aurora.release.update import update

TOP = Path(__file__).resolve().parent.parent
_INTERRUPTED = 130


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
    return [str(path) for path in (srpm, *_build_rpms(srpm, arches, options.out))]


def _release(options: Options) -> list[str]:
    """build.py release --tag v3.22.1-1"""
    srpm, arches = _build_srpm(options, pins.ARCHES)
    packages = [srpm, *_build_rpms(srpm, arches, options.out)]
    sboms = {arch: options.out / "closure" / arch / SBOM for arch in arches}
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


_COMMANDS: dict[str, Command] = {
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
        arch = staged.closure.arch
        nixd = None
        if options.nixd:
            nixd = fetch(packaging.nixd[arch], options.cache, offline=options.offline)
        description = options.out / "closure" / arch
        describe(staged, description, date=packaging.date)
        prepared.append(Prepared(staged, description, nixd))
    srpm = build_srpm(
        prepared,
        TOP,
        options.out,
        release=packaging.package_release,
        date=packaging.date,
        level=options.level,
    )
    return srpm, [item.arch for item in prepared]


def _build_rpms(srpm: Path, arches: Sequence[str], out: Path) -> list[Path]:
    """Build for each architecture; the noarch package is named once.

    It records for which it was built last, and so that is always the same one.
    """
    built = {arch: build_rpm(srpm, arch, out) for arch in sorted(arches)}
    return list(dict.fromkeys(path for arch in arches for path in built[arch]))


def _next_step(error: AuroraError, words: argparse.Namespace) -> str | None:
    """Give what to do about a fault that has no step of its own; None if its message tells."""
    if isinstance(error, UsageError):
        return f"build.py {words.command} --help"
    if not isinstance(error, FetchError | VerificationError):
        return None
    if words.command in {"verify", "repo", "publish"}:
        return "make rpm builds the packages again"
    if words.command == "pins":
        return "pins.toml is as it was; --version takes another release"
    if words.source:
        return "get it again from where it was published; --sha256 HEX tells whether it is the same"
    return "make pins shows the release, make pins-update pins the newest"


def _print_traceback() -> None:
    """Print the traceback of the present error, with -v only."""
    for line in traceback.format_exc().splitlines():
        log.detail(line)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code; results are on stdout, one a line."""
    words = arguments.parser(_COMMANDS).parse_args(argv)
    level = log.Level.VERBOSE if words.verbose else log.Level.NORMAL
    log.configure(log.Level.QUIET if words.quiet else level)
    signal.signal(signal.SIGTERM, _terminate)  # clean up as on Ctrl-C
    function, _ = _COMMANDS[words.command]
    try:
        results = function(arguments.options(words))
    except AuroraError as error:
        log.error(error.message, error.hint or _next_step(error, words), error.details)
        _print_traceback()
        return error.exit_code
    except OSError as error:  # a full disk, a directory that is not ours
        place = os.fsdecode(error.filename) if error.filename else ""
        log.error(f"cannot read or write: {place or 'a file'}: {error.strerror or error}")
        _print_traceback()
        return 1
    except KeyboardInterrupt:
        log.error("interrupted: nothing half-made is left")
        return _INTERRUPTED
    for line in results:
        sys.stdout.write(f"{line}\n")
    return 0
