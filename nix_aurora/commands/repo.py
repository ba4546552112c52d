"""``build.py repo``: a dnf repository of the built packages."""

import argparse
from pathlib import Path

from nix_aurora.commands.command import Command, Options
from nix_aurora.publish.repository import Repository, make_repository


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directory", type=Path, metavar="DIR", help="new directory, or repository to replace"
    )
    signing = parser.add_mutually_exclusive_group()
    signing.add_argument("--key", metavar="ID|FINGERPRINT", help="sign with this gpg key")
    signing.add_argument("--unsigned", action="store_true", help="sign nothing; only for tests")
    parser.add_argument(
        "--baseurl", metavar="URL", help="address of the repository for hosts; default: file://DIR"
    )


def _run(options: Options, words: argparse.Namespace) -> list[str]:
    wanted = Repository(words.directory.absolute(), words.key, words.unsigned, words.baseurl)
    return [str(make_repository(wanted, options.out))]


COMMAND = Command(
    "repo",
    "make a dnf repository of the built packages",
    example="build.py repo /srv/nix-aurora --key 0123456789ABCDEF "
    "--baseurl https://example.org/nix",
    run=_run,
    add_arguments=_add_arguments,
    hint="make rpm",
)
