"""Test that completions of three shells and the man page offer what the argument parser accepts."""

import argparse
import re
import subprocess
from pathlib import Path

import pytest
from nix_aurora_host.cli import COMMANDS, make_parser

from nix_aurora.package.command_line import Command, describe, read_command_line
from nix_aurora.package.completion import completion_context
from nix_aurora.package.render import render
from tests.readme import TOP

_SHARE = TOP / "payload/usr/share"
_BASH = _SHARE / "bash-completion/completions/nix-aurora.in"
_ZSH = _SHARE / "zsh/site-functions/_nix-aurora.in"
_FISH = _SHARE / "fish/vendor_completions.d/nix-aurora.fish.in"
_PAGE = _SHARE / "man/man1/nix-aurora.1.in"


def _names(parser: argparse.ArgumentParser, path: str = "") -> dict[str, set[str]]:
    """Return the options and commands that can follow, by the preceding words.

    These words are keys such as "" and "mount enable".
    """
    found: dict[str, set[str]] = {}
    names: set[str] = set()
    for action in parser._actions:
        names |= {option for option in action.option_strings if option.startswith("--")}
        if isinstance(action, argparse._SubParsersAction):
            names |= action.choices.keys()
            for name, child in action.choices.items():
                found |= _names(child, f"{path} {name}".strip())
    return found | {path: names}


def _make_odd() -> argparse.ArgumentParser:
    """Return a parser with features that the host's lacks, but a later command may have."""
    parser = argparse.ArgumentParser(prog="nix-aurora", description="Look after Nix.")
    commands = parser.add_subparsers(dest="command")
    odd = commands.add_parser("odd-one", help="it's [odd]", description="It's odd. Not .so\\even.")
    odd.add_argument("--from", metavar="FILE", help="read a file")
    odd.add_argument("--kind", choices=["one", "two"], help="of which kind")
    odd.add_argument("color", choices=["red", "blue"], help="of which color")
    odd.add_argument("name", metavar="NAME", nargs="?", help="any name")
    odd.add_argument("more", metavar="MORE", nargs="*", help="any words")
    return parser


REAL, ODD = describe(make_parser()), describe(_make_odd())
PARSERS = pytest.mark.parametrize(
    ("top", "names"), [(REAL, _names(make_parser())), (ODD, _names(_make_odd()))]
)


def _render(template: Path, top: Command) -> str:
    return render(template.read_text(), completion_context(top), template.name)


def _complete_in_bash(top: Command, line: str, tmp_path: Path) -> set[str]:
    """Return what bash itself offers for the next word of ``line``."""
    script = """
    compopt() { [ "$*" = '-o default' ]; }  # outside a completion bash has no options for it
    source "$1"
    COMP_WORDS=(nix-aurora $2 '') COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _nix_aurora
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    file = tmp_path / "nix-aurora"
    file.write_text(_render(_BASH, top))
    command = ["bash", "-euc", script, "bash", str(file), line]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_parser_is_that_of_the_payload() -> None:
    top = read_command_line(TOP / "payload")
    assert top == REAL
    assert tuple(command.path for command in top.commands) == COMMANDS


def test_description_has_everything_in_the_parser() -> None:
    (odd,) = ODD.commands
    assert odd.summary == "it's [odd]"
    assert [(option.flag, option.metavar, option.choices) for option in odd.options] == [
        ("--help", None, ()),
        ("--from", "FILE", ()),
        ("--kind", "KIND", ("one", "two")),
    ]
    assert [(one.metavar, one.optional, one.several, one.rest) for one in odd.arguments] == [
        ("color", False, False, False),
        ("NAME", True, False, False),
        ("MORE", True, True, False),
    ]
    (shell,) = (command for command in REAL.commands if command.path == "shell")
    assert shell.rest


@PARSERS
def test_bash_completes_commands_and_options(
    top: Command, names: dict[str, set[str]], tmp_path: Path
) -> None:
    for path, expected in names.items():
        found = _complete_in_bash(top, path, tmp_path)
        if path == "shell":  # bash also offers every command
            assert found > expected | {"ls"}
        else:
            assert found - {"red", "blue"} == expected, path


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("odd-one --kind", {"one", "two"}),
        ("odd-one --from", set()),  # bash's own completion of files
        ("odd-one", {"red", "blue", "--help", "--from", "--kind"}),
        ("odd-one --kind one red", {"red", "blue", "--help", "--from", "--kind"}),
    ],
)
def test_bash_completes_values(line: str, found: set[str], tmp_path: Path) -> None:
    assert _complete_in_bash(ODD, line, tmp_path) == found


@PARSERS
def test_zsh_completes_commands_and_options(top: Command, names: dict[str, set[str]]) -> None:
    """Each function has the options and commands, and is called for the words before them."""
    functions = dict(re.findall(r"^(\w+)\(\) \{\n(.*?)^\}$", _render(_ZSH, top), re.S | re.M))
    paths = {"_".join(["_nix_aurora", *re.split("[ -]", path)]).rstrip("_"): path for path in names}
    assert {paths[name] for name in functions} == names.keys()
    for name, body in functions.items():
        options = re.findall(r"'(?:\(- \*\))?(--[a-z-]+)=?\[", body)
        commands = re.findall(r"^        '([a-z-]+):", body, re.M)
        called = re.findall(r"^        ([a-z-]+)\) (\w+) ;;$", body, re.M)
        assert len(options) + len(commands) == len({*options, *commands})
        assert {*options, *commands} == names[paths[name]]
        assert [f"{paths[name]} {word}".strip() for word, _ in called] == [
            paths[function] for _, function in called
        ]
        assert [word for word, _ in called] == commands


def test_zsh_completes_values() -> None:
    text = _render(_ZSH, ODD)
    assert "        'odd-one:it'\\''s [odd]'\n" in text
    assert "'--from=[read a file]:FILE:_files'" in text
    assert "'--kind=[of which kind]:KIND:(one two)'" in text
    assert "'1:color:(red blue)'" in text
    assert "'*:MORE:()'" in text
    assert "'*::COMMAND:_normal'" in _render(_ZSH, REAL)


@PARSERS
def test_fish_completes_commands_and_options(top: Command, names: dict[str, set[str]]) -> None:
    added = re.findall(
        r"^\$add --condition '__nix_aurora_(?:at|in) ?([a-z -]*)' "
        r"--(long-option|arguments) ([a-z-]+)",
        _render(_FISH, top),
        re.MULTILINE,
    )
    found: dict[str, set[str]] = {path: set() for path in names}
    for path, kind, name in added:
        word = f"--{name}" if kind == "long-option" else name
        assert word not in found[path]
        found[path].add(word)
    assert found == names


def test_fish_completes_values() -> None:
    text = _render(_FISH, ODD)
    assert "--arguments odd-one --description 'it\\'s [odd]'\n" in text
    assert "--description 'read a file' --require-parameter --force-files\n" in text
    assert "--description 'of which kind' --require-parameter --arguments 'one two'\n" in text
    assert "$add --condition '__nix_aurora_in odd-one' --arguments 'red blue'\n" in text


@PARSERS
def test_man_page_lists_commands_and_options(
    top: Command, names: dict[str, set[str]], tmp_path: Path
) -> None:
    """SYNOPSIS lists the options of each command, and OPTIONS the commands of each option."""
    page = tmp_path / "nix-aurora.1"
    page.write_text(_render(_PAGE, top))
    shown = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=500", page],
        check=True,
        capture_output=True,
        text=True,
    )
    text = re.sub(".\b", "", shown.stdout)
    sections = dict(re.findall(r"^([A-Z][A-Z ]+)\n(.*?)(?=^[A-Z]|\Z)", text, re.S | re.M))
    for path, expected in names.items():
        children = {name for name in expected if not name.startswith("--")}
        if path and not children:
            usage = rf"^ +nix-aurora {path}(?: [A-Z[].*)?$"
            (line,) = re.findall(usage, sections["SYNOPSIS"], re.M)
            assert set(re.findall(r"\[(--[a-z-]+)", line)) == expected - {"--help"}
        if path:
            assert re.search(rf"^ +{path}(?= |$)", sections["COMMANDS"], re.M)
        for option in expected - children - {"--help"}:
            (entry,) = re.findall(rf"^ +{option}\b.*?\n\n", sections["OPTIONS"], re.S | re.M)
            assert not path or re.search(rf"[(, ]{path}[,)]", entry)


def test_man_page_shows_any_text() -> None:
    text = _render(_PAGE, ODD)
    assert "It's odd.\nNot .so\\eeven.\n" in text
    assert ".Oo Fl \\-from Ar FILE Oc\n" in text
    assert ".Ar color\n.Oo Ar NAME Oc\n.Oo Ar MORE ... Oc\n" in text
