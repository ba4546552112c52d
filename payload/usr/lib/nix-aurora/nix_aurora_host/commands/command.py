"""The description of a command of nix-aurora, and the options that several commands share."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name


def _no_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add nothing to ``_parser``."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of nix-aurora; its name is that of its module.

    ``summary`` is for lists of commands, ``description`` one paragraph for the command's own help
    and the man page. ``run`` takes all parsed words and returns the exit code. ``add_arguments``
    adds the command's arguments to its parser. Each of ``examples`` is a command line and its
    effect.
    """

    summary: str
    description: str
    run: Callable[[argparse.Namespace], int]
    add_arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    examples: tuple[tuple[str, str], ...] = ()


def add_command(
    subparsers: "Subparsers", name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    """Add the command or action ``name``, and return its parser."""
    # A line of the description may name a file with a percent sign, which argparse formats.
    text = description.replace("%", "%%")
    return subparsers.add_parser(name, help=summary, description=text, allow_abbrev=False)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands with a result that a program may read."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add the option of the commands that ask before they change something."""
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """Add the option of the commands that can show what they would do."""
    text = "show what would be done, and change nothing"
    parser.add_argument("--dry-run", action="store_true", help=text)
