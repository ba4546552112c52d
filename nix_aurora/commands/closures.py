"""The staged closures that a command line asks for: from its sources, else from the pins."""

import platform
from collections.abc import Sequence

from nix_aurora.closure.stage import Staged, stage
from nix_aurora.commands.command import Options
from nix_aurora.errors import UsageError
from nix_aurora.release import pins
from nix_aurora.release.source import Source, from_argument, from_pins


def host_arch() -> str:
    """Return this machine's architecture; raise UsageError if no release is pinned for it."""
    arch = platform.machine()
    if arch not in pins.ARCHES:
        raise UsageError(
            "cannot choose the architecture: this machine: "
            f"expected one of {', '.join(pins.ARCHES)}, "
            f"got {arch}",
            hint=f"--arch {pins.ARCHES[0]}",
        )
    return arch


def staged_closures(options: Options, default: Sequence[str]) -> list[Staged]:
    """Stage every source, or the pinned release for ``default`` if ``options`` names nothing.

    Each architecture is staged once. Raises UsageError if the sources are not for the requested
    architectures.
    """
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
