"""The data for the templates of the completions and of the man page."""

import re
from collections.abc import Iterator

from nix_aurora.package.command_line import Argument, Command, Option

_BETWEEN_SENTENCES = re.compile(r"(?<=[.:]) (?=[A-Z])")


def completion_context(top: Command) -> dict[str, object]:
    """Return the names that the templates use: the commands, and functions for their words."""
    return {
        "top": top,
        "fish": fish_word,
        "fish_value": fish_value,
        "zsh_function": zsh_function,
        "zsh_summary": zsh_summary,
        "zsh_words": zsh_words,
        "mdoc": mdoc,
        "mdoc_usage": mdoc_usage,
    }


def fish_word(text: str) -> str:
    """Return ``text`` as one word of fish."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def fish_value(option: Option) -> str:
    """Return the words for fish's complete that follow an option that takes a value."""
    if option.metavar is None:
        return ""
    values = (
        f"--arguments {fish_word(' '.join(option.choices))}" if option.choices else "--force-files"
    )
    return f" --require-parameter {values}"


def zsh_function(command: Command) -> str:
    """Return the name of the function that completes a command in zsh."""
    return "_".join(("_nix_aurora", *command.words)).replace("-", "_")


def zsh_summary(command: Command) -> str:
    """Return a command in the form of zsh's _describe: name, colon, summary."""
    return _zsh_word(f"{command.name}:{command.summary}")


def zsh_words(command: Command) -> list[str]:
    """Return the words for zsh's _arguments: the options and arguments of a command."""
    words = [_zsh_option(command, option) for option in command.options]
    if command.commands:
        words += ["1:command:->command", "*::argument:->argument"]
    words += _zsh_arguments(command)
    return [_zsh_word(word) for word in words]


def _zsh_option(command: Command, option: Option) -> str:
    alone = "(- *)" if option.flag == "--help" or not command.words else ""
    text = re.sub(r"([\\\[\]])", r"\\\1", option.help)
    if option.metavar is None:
        return f"{alone}{option.flag}[{text}]"
    values = f"({' '.join(option.choices)})" if option.choices else "_files"
    return f"{alone}{option.flag}=[{text}]:{option.metavar}:{values}"


def _zsh_arguments(command: Command) -> Iterator[str]:
    for number, argument in enumerate(command.arguments, start=1):
        if argument.rest:
            yield f"*::{argument.metavar}:_normal"
        else:
            place = "*" if argument.several else str(number)
            yield f"{place}:{argument.metavar}:({' '.join(argument.choices)})"


def _zsh_word(text: str) -> str:
    escaped = text.replace("'", "'\\''")
    return f"'{escaped}'"


def mdoc(text: str) -> str:
    """Return ``text`` as sentences of a man page, one per line."""
    sentence = text[:1].upper() + text[1:]
    sentence += "" if sentence.endswith(".") else "."
    lines = _BETWEEN_SENTENCES.split(_roff(sentence))
    return "\n".join(f"\\&{line}" if line[:1] in {".", "'"} else line for line in lines)


def mdoc_usage(command: Command) -> list[str]:
    """Return the options and arguments of a command as words for mdoc's requests."""
    words = [_mdoc_option(option) for option in command.options if option.flag != "--help"]
    return words + [_mdoc_argument(argument) for argument in command.arguments]


def _mdoc_option(option: Option) -> str:
    value = f" Ar {_roff(option.metavar)}" if option.metavar else ""
    return f"Oo Fl {_roff(option.flag.removeprefix('-'))}{value} Oc"


def _mdoc_argument(argument: Argument) -> str:
    word = f"Ar {_roff(argument.metavar)}{' ...' if argument.several else ''}"
    return f"Oo {word} Oc" if argument.optional else word


def _roff(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")
