"""The command line of build.py: its commands, its exit codes, and how it reports errors."""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from nix_aurora import log
from nix_aurora.commands import (
    fetch,
    oci,
    pins,
    publish,
    release,
    repo,
    rpm,
    srpm,
    stage,
    verify,
)
from nix_aurora.commands.command import Options, common_parser
from nix_aurora.errors import AuroraError, FetchError, UsageError, VerificationError

# --help lists the commands in this order.
_COMMANDS = tuple(
    module.COMMAND
    for module in (fetch, stage, srpm, rpm, release, verify, oci, repo, publish, pins)
)
_INTERRUPTED = 130


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of build.py; parsed arguments have the command's ``run`` and ``hint``."""
    parser = argparse.ArgumentParser(
        prog="build.py",
        description="Build nix-aurora's RPMs from a pinned Determinate Nix release.",
        epilog="exit codes: 0 done, 1 cannot read or write a file, 2 wrong usage, 3 wrong pins or "
        "advisories, 4 download failed, 5 verification failed, 6 tool missing or failed, 7 no "
        "answer from COPR, 8 build at COPR failed, 130 interrupted",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = common_parser()
    for command in _COMMANDS:
        subparser = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=command.summary[0].upper() + command.summary[1:] + ".",
            epilog=f"example: {command.example}",
            parents=[common],
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run, hint=command.hint)
    return parser


def _next_step(error: AuroraError, words: argparse.Namespace) -> str | None:
    """Return a next step for an error without a hint of its own; None if its message is enough."""
    if isinstance(error, UsageError):
        return f"build.py {words.command} --help"
    if not isinstance(error, FetchError | VerificationError):
        return None
    if words.hint is not None:
        return str(words.hint)
    if words.source:
        return "get it again from where it was published; --sha256 HEX tells whether it is the same"
    return "make pins shows the release, make pins-update pins the newest"


def _print_traceback() -> None:
    """Print the traceback of the current exception, with -v only."""
    for line in traceback.format_exc().splitlines():
        log.detail(line)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; print the results on stdout, one per line."""
    words = make_parser().parse_args(argv)
    level = log.Level.VERBOSE if words.verbose else log.Level.NORMAL
    log.configure(log.Level.QUIET if words.quiet else level)
    signal.signal(signal.SIGTERM, _terminate)  # clean up as on Ctrl-C
    try:
        results = words.run(Options.of(words), words)
    except AuroraError as error:
        log.error(error.message, error.hint or _next_step(error, words), error.details)
        _print_traceback()
        return error.exit_code
    except OSError as error:  # such as a full disk, or a directory that belongs to another user
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
