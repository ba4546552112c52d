"""``build.py oci``: an OCI image of the built packages."""

import argparse

from nix_aurora.commands.command import TOP, Command, Options
from nix_aurora.publish.image import make_image, push, revision


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--registry", metavar="HOST/OWNER", help="also push it there, as nix-aurora:VERSION-RELEASE"
    )


def _run(options: Options, words: argparse.Namespace) -> list[str]:
    image = make_image(options.out, revision(TOP))
    pushed = [push(image, words.registry)] if words.registry else []
    return [str(image.archive), *pushed]


COMMAND = Command(
    "oci",
    "make an OCI image that contains the built packages",
    example="build.py oci --registry ghcr.io/me",
    run=_run,
    add_arguments=_add_arguments,
    hint="make rpm",
)
