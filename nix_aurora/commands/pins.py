"""``build.py pins``: show the pins, or pin another release and update the advisories."""

import argparse
import json
from dataclasses import asdict

from nix_aurora.commands.advice import concerned, pinned_subject, warn
from nix_aurora.commands.command import Command, Options
from nix_aurora.errors import UsageError
from nix_aurora.release import advisories, pins
from nix_aurora.release.advisories import Advisory
from nix_aurora.release.bulletin import collect, take_over
from nix_aurora.release.bump import NIXD, Bump, bump
from nix_aurora.release.checks import check_url, check_version
from nix_aurora.release.exposure import Subject, affects
from nix_aurora.release.github import API


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        choices=("show", "update", "advisories"),
        default="show",
        help="advisories: list those that apply, or may apply, to the release; default: show",
    )
    parser.add_argument("--json", action="store_true", help="show: print JSON")
    parser.add_argument(
        "--version",
        metavar="V",
        help="update: pin this version, newer or older; default: the newest",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="update: download, show what would change, and write nothing",
    )
    parser.add_argument(
        "--github", metavar="URL", default=API, help=f"GitHub's API; default: {API}"
    )
    parser.add_argument(
        "--nixd", metavar="URL", default=NIXD, help=f"where determinate-nixd is; default: {NIXD}"
    )


def _run(options: Options, words: argparse.Namespace) -> list[str]:
    of_others = {
        "--json": (words.json, {"show"}),
        "--version": (words.version, {"update"}),
        "--dry-run": (words.dry_run, {"update"}),
        "--offline": (words.offline, {"show", "advisories"}),
    }
    for option, (given, actions) in of_others.items():
        if given and words.action not in actions:
            accepted = " or ".join(f"pins {action}" for action in sorted(actions))
            raise UsageError(f"{option}: expected {accepted}, got pins {words.action}")
    if words.action == "update":
        return _update(options, _bump(words))
    if words.action == "advisories":
        return _advisories(options)
    return _show(pins.load(options.pins), as_json=words.json)


def _update(options: Options, wanted: Bump) -> list[str]:
    """Update both files; return their paths if they changed, or with --dry-run the differences.

    GitHub is asked about both before either file changes.
    """
    advisories.load(options.advisories)
    published = collect(wanted.github)
    changed = bump(options.pins, wanted, options.cache)
    changed += take_over(options.advisories, published, dry_run=wanted.dry_run)
    known = advisories.load(options.advisories)
    subject = pinned_subject(pins.load(options.pins))
    warn(concerned(known, subject), subject)
    return changed


def _advisories(options: Options) -> list[str]:
    """Return a line for each advisory that affects the pinned release, or may affect it."""
    subject = pinned_subject(pins.load(options.pins))
    known = advisories.load(options.advisories)
    return [f"{_verdict(each, subject)}: {each.url}" for each in concerned(known, subject)]


def _verdict(advisory: Advisory, subject: Subject) -> str:
    if affects(advisory, subject):
        return f"{advisory.id} applies to {subject}"
    return f"{advisory.id} may apply to {subject}, and is not reviewed"


def _bump(words: argparse.Namespace) -> Bump:
    """Return the request that ``pins update`` was called with."""
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
        content = {
            "version": release.version,
            "nix": release.nix,
            "package": package,
            **table,
        }
        return [json.dumps(content, indent=2, sort_keys=True)]
    return [f"release {release.version}"] + [
        f"{kind} {arch} {entry['size']} {entry['sha256']} {entry.get('url', '')}".rstrip()
        for kind, entries in table.items()
        for arch, entry in entries.items()
    ]


COMMAND = Command(
    "pins",
    "show the pinned release or its advisories, or pin another release",
    example="build.py pins update --version 3.22.1",
    run=_run,
    add_arguments=_add_arguments,
    hint="pins.toml and advisories.toml are as they were; --version takes another release",
)
