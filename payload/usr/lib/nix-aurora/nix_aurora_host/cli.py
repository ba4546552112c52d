"""The command line: its commands, its exit codes, and the form of errors."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module

from nix_aurora_host.commands.command import Command, add_command
from nix_aurora_host.errors import CommandError
from nix_aurora_host.text import printable

COMMANDS = (
    *("status", "doctor", "shell", "mount", "gc", "gpu", "recover", "adopt", "move", "relabel"),
    "set-aside",
    "purge",
)
"""The names of the commands, in the order in which help lists them. Each has a module."""

_INTERRUPTED = 130
_EXIT_CODES = """\
exit codes: 0 done, or no fault found; 1 faults found, or failed; 2 wrong usage, or refused
"""


def make_parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser of the commands ``names``. It exits with 2 if the usage is wrong."""
    commands = {name: _load(name) for name in names}
    parser = argparse.ArgumentParser(
        prog="nix-aurora",
        description="Check, set up and repair Nix on this host.",
        epilog=_list_examples(commands.values()) + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version of the package")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, command in commands.items():
        subparser = add_command(subparsers, name, command.summary, command.description)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def _load(name: str) -> Command:
    module = import_module(f"nix_aurora_host.commands.{name.replace('-', '_')}")
    command: Command = module.COMMAND
    return command


def _list_examples(commands: Iterable[Command]) -> str:
    examples = [example for command in commands for example in command.examples]
    width = max((len(line) for line, _ in examples), default=0)
    lines = [f"  {line:<{width}}  {what}\n" for line, what in examples]
    return "".join(["examples:\n", *lines, "\n"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    # Only the modules of the requested command are loaded: status and shell run often.
    parser = make_parser([words[0]] if words and words[0] in COMMANDS else COMMANDS)
    arguments = parser.parse_args(words)
    try:
        if arguments.version:
            return _print_version()
        if arguments.command is None:
            parser.print_usage(sys.stderr)
            return 2
        code: int = arguments.run(arguments)
    except CommandError as error:
        sys.stderr.write(f"nix-aurora: {printable(error.message, limit=None)}\n")
        if error.hint:
            sys.stderr.write(f"hint: {printable(error.hint, limit=None)}\n")
        return error.code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _print_version() -> int:
    from nix_aurora_host.gather.closure import gather_closure  # noqa: PLC0415 - only this needs it

    print(f"nix-aurora {gather_closure().version}")
    return 0
