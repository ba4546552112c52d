"""The command line of the host's nix-aurora, for its completions and its man page.

The templates are rendered from the commands of the host's argument parser: a new command or option
is in the completions and the man page without a change to them. Two tools that do this were
compared, and not adopted:

- shtab 1.13 writes completions for bash, zsh and fish, nested commands included. It lists commands
  by their names, not in the order of help. What follows ``nix-aurora shell`` is the command line of
  another program: to complete that, the parser would have to carry code for each shell. Its text
  changes between its releases, so that two builds of the same sources could differ.
- argparse-manpage 4.8 writes man(7), not mdoc(7), with the date of the build, and from formatted
  help, which differs between versions of Python.

All data here is taken from the parser's actions, never from formatted help.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HOST = "usr/lib/nix-aurora"
"""The directory of the package nix_aurora_host, in the payload and on a host."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option; ``metavar`` is None if it takes no value, ``choices`` are its values if known."""

    flag: str
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the flag without its dashes."""
        return self.flag.removeprefix("--")


@dataclass(frozen=True, slots=True)
class Argument:
    """A positional argument; ``rest`` means that it is a whole command line."""

    metavar: str
    help: str
    optional: bool = False
    several: bool = False
    rest: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """A command with its subcommands; the top command has no ``words``."""

    words: tuple[str, ...]
    summary: str
    description: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]
    commands: tuple["Command", ...]

    @property
    def path(self) -> str:
        """Return the words in one line, such as "mount enable"."""
        return " ".join(self.words)

    @property
    def name(self) -> str:
        """Return the last word."""
        return self.words[-1]

    @property
    def parent(self) -> str:
        """Return the words before the last one, in one line."""
        return " ".join(self.words[:-1])

    @property
    def candidates(self) -> tuple[str, ...]:
        """Return the words that can follow: commands, known arguments and options."""
        names = [command.name for command in self.commands]
        names += [choice for argument in self.arguments for choice in argument.choices]
        return (*names, *(option.flag for option in self.options))

    @property
    def rest(self) -> bool:
        """Whether a command line of another program can follow the words."""
        return any(argument.rest for argument in self.arguments)

    @property
    def valued(self) -> tuple[tuple["Command", Option], ...]:
        """Return the options that take a value, of this command and its subcommands."""
        commands = list(self.walk())
        return tuple((one, option) for one in commands for option in one.options if option.metavar)

    @property
    def used(self) -> tuple[tuple[Option, tuple[str, ...]], ...]:
        """Return each option here and below once, with the paths of the commands that take it."""
        found: dict[Option, list[str]] = {}
        for command in self.walk():
            for option in command.options:
                found.setdefault(option, []).append(command.path)
        return tuple((option, tuple(paths)) for option, paths in found.items())

    def walk(self) -> Iterator["Command"]:
        """Yield this command and all commands below it, each before its own subcommands."""
        yield self
        for command in self.commands:
            yield from command.walk()


def read_command_line(payload: Path) -> Command:
    """Return the command line of the nix-aurora in ``payload``."""
    with _host_package(payload):
        from nix_aurora_host.cli import make_parser  # noqa: PLC0415 - it is found only here

        return describe(make_parser())


@contextlib.contextmanager
def _host_package(payload: Path) -> Iterator[None]:
    """Let Python import the host's package from ``payload``, and write no caches there."""
    path, writes = sys.path[:], sys.dont_write_bytecode
    sys.path.insert(0, str(payload / _HOST))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = path, writes


def describe(parser: argparse.ArgumentParser) -> Command:
    """Return the command line that ``parser`` understands."""
    return _describe(parser, (), "")


def _describe(parser: argparse.ArgumentParser, words: tuple[str, ...], summary: str) -> Command:
    options, arguments, commands = [], [], []
    # argparse has no public way to read a parser, but it has had these names since Python 2.7.
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {entry.dest: entry.help or "" for entry in action._choices_actions}
            for name, child in action.choices.items():
                commands.append(_describe(child, (*words, name), summaries[name]))
        elif action.option_strings:
            options.append(_describe_option(action))
        else:
            arguments.append(_describe_argument(action))
    description = (parser.description or "").replace("%%", "%")
    return Command(words, summary, description, tuple(options), tuple(arguments), tuple(commands))


def _describe_option(action: argparse.Action) -> Option:
    (flag,) = (option for option in action.option_strings if option.startswith("--"))
    takes_value = action.nargs != 0
    metavar = str(action.metavar or action.dest.upper()) if takes_value else None
    return Option(flag, action.help or "", metavar, _choices(action))


def _describe_argument(action: argparse.Action) -> Argument:
    return Argument(
        str(action.metavar or action.dest),
        action.help or "",
        optional=action.nargs in {argparse.OPTIONAL, argparse.ZERO_OR_MORE, argparse.REMAINDER},
        several=action.nargs not in {None, argparse.OPTIONAL},
        rest=action.nargs == argparse.REMAINDER,
        choices=_choices(action),
    )


def _choices(action: argparse.Action) -> tuple[str, ...]:
    return tuple(map(str, action.choices or ()))
