"""``build.py publish``: builds at COPR."""

import argparse
from pathlib import Path

from nix_aurora.commands.command import Command, Options
from nix_aurora.publish.copr import Publication, publish
from nix_aurora.publish.project import CHROOTS


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--project", required=True, metavar="OWNER/NAME", help="COPR project; created if missing"
    )
    parser.add_argument(
        "--chroot",
        action="append",
        default=[],
        metavar="NAME",
        help=f"where to build; repeatable; default: {' '.join(CHROOTS)}",
    )
    parser.add_argument(
        "--srpm",
        type=Path,
        metavar="FILE",
        help="source package to upload; default: the one in --out",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="COPR's API token; default: ~/.config/copr"
    )
    parser.add_argument(
        "--follow", type=int, metavar="BUILD", help="follow this build; upload nothing"
    )


def _run(options: Options, words: argparse.Namespace) -> list[str]:
    chroots = tuple(dict.fromkeys(words.chroot))
    wanted = Publication(words.project, chroots, words.srpm, words.config, words.follow)
    return [publish(wanted, options.out)]


COMMAND = Command(
    "publish",
    "upload the source package to COPR, and follow the builds",
    example="build.py publish --project me/nix-aurora --chroot fedora-44-x86_64",
    run=_run,
    add_arguments=_add_arguments,
    hint="make rpm",
)
