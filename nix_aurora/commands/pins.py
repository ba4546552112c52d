"""``build.py pins``: what is pinned, or another release in its place."""

import argparse
import json
from dataclasses import asdict

from nix_aurora.commands.command import Command, Options
from nix_aurora.errors import UsageError
from nix_aurora.release import pins
from nix_aurora.release.bump import NIXD, Bump, bump
from nix_aurora.release.checks import check_url, check_version
from nix_aurora.release.github import API


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", choices=("show", "update"), default="show", help="default: show"
    )
    parser.add_argument("--json", action="store_true", help="show: for programs")
    parser.add_argument(
        "--version", metavar="V", help="update: to this one, also back to it; default: the newest"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="update: download, and show what would change"
    )
    parser.add_argument("--github", metavar="URL", default=API, help=f"default: {API}")
    parser.add_argument("--nixd", metavar="URL", default=NIXD, help=f"default: {NIXD}")


def _run(options: Options, words: argparse.Namespace) -> list[str]:
    of_the_other = {
        "show": [("--version", words.version), ("--dry-run", words.dry_run)],
        "update": [("--json", words.json), ("--offline", words.offline)],
    }
    for option, given in of_the_other[words.action]:
        if given:
            raise UsageError(f"{option}: expected none with pins {words.action}, got it")
    if words.action == "update":
        return bump(options.pins, _bump(words), options.cache)
    return _show(pins.load(options.pins), as_json=words.json)


def _bump(words: argparse.Namespace) -> Bump:
    """Return what ``pins update`` is asked for."""
    try:
        return Bump(
            words.version and check_version(words.version.removeprefix("v")),
            words.dry_run,
            check_url(words.github),
            check_url(words.nixd),
        )
    except ValueError as error:
        raise UsageError(f"pins update: {error}") from error


def _show(release: pins.Pins, *, as_json: bool) -> list[str]:
    """Return the lines that show ``release``."""
    table = {
        kind: {arch: asdict(entries[arch]) for arch in sorted(entries)}
        for kind, entries in (
            ("installer", release.installer),
            ("nixd", release.nixd),
            ("tarball", release.tarball),
        )
    }
    if as_json:
        package = {"release": release.package_release, "date": release.date.isoformat()}
        content = {"version": release.version, "package": package, **table}
        return [json.dumps(content, indent=2, sort_keys=True)]
    return [f"release {release.version}"] + [
        f"{kind} {arch} {entry['size']} {entry['sha256']} {entry.get('url', '')}".rstrip()
        for kind, entries in table.items()
        for arch, entry in entries.items()
    ]


COMMAND = Command(
    "pins",
    "show what is pinned, or pin another release",
    example="build.py pins update --version 3.22.1",
    run=_run,
    add_arguments=_add_arguments,
    hint="pins.toml is as it was; --version takes another release",
)
