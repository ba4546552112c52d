"""Messages and questions of commands at a terminal. Results go to standard output instead."""

import os
import sys

from nix_aurora_host.errors import USAGE, CommandError
from nix_aurora_host.text import printable


def say(line: str) -> None:
    """Print a line, which may contain names from outside."""
    sys.stderr.write(f"{printable(line, None)}\n")


def require_root(doing: str, command: str) -> None:
    """Raise CommandError unless this process is root's; ``command`` needs root to do something."""
    if os.geteuid() != 0:
        raise CommandError(
            f"cannot {doing}: only root may do this; nothing was changed",
            f"sudo nix-aurora {command}",
            code=USAGE,
        )


def require_terminal(doing: str, command: str) -> None:
    """Raise CommandError if there is no terminal to ask; ``command`` asks nothing with --yes."""
    if not sys.stdin.isatty():
        raise CommandError(
            f"cannot ask whether to {doing}: there is no terminal for the question",
            f"sudo nix-aurora {command} --yes",
            code=USAGE,
        )


def confirm(what: str) -> bool:
    """Ask whether to do ``what``; return whether the answer is yes."""
    sys.stderr.write(f"Type yes to {what}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"
