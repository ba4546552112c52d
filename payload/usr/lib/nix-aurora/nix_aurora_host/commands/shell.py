"""``nix-aurora shell``: start a shell, or one command, that sees the store on /nix."""

import argparse
import os
import pwd
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from nix_aurora_host import paths
from nix_aurora_host.commands.command import Command
from nix_aurora_host.errors import USAGE, CommandError
from nix_aurora_host.system import read
from nix_aurora_host.text import printable

_START = ("/usr/libexec/nix-aurora/with-nix", "/usr/libexec/nix-aurora/shell")


def shell(command: Sequence[str]) -> NoReturn:
    """Become ``command``, or the user's shell if it is empty, with /nix and its environment."""
    if paths.RELOCATED:
        raise CommandError(
            "cannot start a shell with /nix: the relocated layout has none, and its programs start "
            "in every shell",
            code=USAGE,
        )
    if not command and os.isatty(0) and os.isatty(2):
        sys.stderr.write(greeting(namespace=_is_namespace(), inside=_is_inside(), root=_is_root()))
    sys.stderr.flush()
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; children inherit that
        signal.signal(ignored, signal.SIG_DFL)
    # The command is started without a shell in between.
    try:
        os.execv(_START[0], [*_START, *(command or [_users_shell()])])  # noqa: S606
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        raise CommandError(
            f"cannot start a shell: {_START[0]}: {printable(str(error))}", "nix-aurora doctor"
        ) from error


def greeting(*, namespace: bool, inside: bool, root: bool) -> str:
    """Return the lines that an interactive shell prints first; none if all of the host has /nix."""
    if not namespace:
        return ""
    if inside:
        return "nix-aurora: a shell inside nix-aurora shell; exit leads back to the outer one\n"
    limit = "" if root else "sudo, su and pkexec do not work in it. "
    return (
        "nix-aurora: a shell that sees /nix and the programs of your profile; exit leaves it.\n"
        f"{limit}To have /nix in every program: sudo nix-aurora mount enable\n"
    )


def _is_namespace() -> bool:
    return (read(f"{paths.RUN}/layout") or "").strip() == "namespace"


def _is_inside() -> bool:
    try:
        return Path("/nix").samefile(paths.BASE)
    except OSError:  # there is no /nix
        return False


def _is_root() -> bool:
    return os.geteuid() == 0


def _users_shell() -> str:
    if shell := os.environ.get("SHELL"):
        return shell
    try:
        return pwd.getpwuid(os.getuid()).pw_shell or "/bin/sh"
    except KeyError:  # this user has no account
        return "/bin/sh"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "line", metavar="COMMAND", nargs=argparse.REMAINDER, help="a program and its arguments"
    )


def _run(arguments: argparse.Namespace) -> NoReturn:
    line = arguments.line
    shell(line[1:] if line[:1] == ["--"] else line)


COMMAND = Command(
    "start your shell, or COMMAND, so that it sees /nix",
    "Start COMMAND, or your shell, with the store at /nix and the environment of a login. In the "
    "namespace layout, no program in it can become another user: sudo and su do not work there.",
    _run,
    _add_arguments,
    (("nix-aurora shell", "start a shell that sees /nix"),),
)
