"""The argument parser, the man page and the completions of three shells name the same things."""

import argparse
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from nix_aurora_host import layouts
from nix_aurora_host.cli import make_parser

from tests.readme import TOP

_SHARE = TOP / "payload/usr/share"


def _parser(parser: argparse.ArgumentParser, path: str = "") -> dict[str, frozenset[str]]:
    """Give the options and commands that can follow, by the words before: "", "mount enable"."""
    found: dict[str, frozenset[str]] = {}
    names: set[str] = set()
    for action in parser._actions:
        names |= {option for option in action.option_strings if option.startswith("--")}
        if isinstance(action, argparse._SubParsersAction):
            names |= action.choices.keys()
            for name, child in action.choices.items():
                found |= _parser(child, f"{path} {name}".strip())
    return found | {path: frozenset(names)}


PARSER = _parser(make_parser())


def test_bash() -> None:
    """Asked of bash itself."""
    script = """
    source "$1"
    COMP_WORDS=(nix-aurora $2 '') COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _nix_aurora
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    file = _SHARE / "bash-completion/completions/nix-aurora"
    for path, names in PARSER.items():
        command = ["bash", "-euc", script, "bash", str(file), path]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = set(done.stdout.splitlines())
        if path == "shell":  # any command, too
            assert found > names | {"ls"}
        else:
            assert found == names, path


def test_zsh() -> None:
    text = (_SHARE / "zsh/site-functions/_nix-aurora").read_text()
    options = dict(re.findall(r"^local (\w+)='(?:\(- \*\))?(--[a-z-]+)\[", text, re.MULTILINE))
    found: dict[str, set[str]] = {"": set(), "mount": set()}
    parent = ""
    for line in text.splitlines():
        parent = {"commands=(": "", "actions=(": "mount"}.get(line.strip(), parent)
        if match := re.match(r"^    '([a-z]+):", line):
            found[parent].add(match[1])
        elif match := re.match(r"^( +)([a-z]+)\) (_arguments .*)$", line):
            path = f"mount {match[2]}" if len(match[1]) > 4 else match[2]
            found[path] = _zsh_options(match[3], options)
        elif line.lstrip().startswith("_arguments -C"):
            found["mount" if line.startswith(" ") else ""] |= _zsh_options(line, options)
    assert found == PARSER


def _zsh_options(line: str, options: Mapping[str, str]) -> set[str]:
    used = {options[name] for name in re.findall(r"\$(\w+)", line)}
    return used | set(re.findall(r"--[a-z-]+(?=\[)", line))


def test_fish() -> None:
    text = (_SHARE / "fish/vendor_completions.d/nix-aurora.fish").read_text()
    added = re.findall(
        r"^\$add --condition '__nix_aurora_at ?([a-z ]*)' --(long-option|arguments) ([a-z-]+)",
        text,
        re.MULTILINE,
    )
    found: dict[str, set[str]] = {}
    for path, kind, name in added:
        names = found.setdefault(path, set())
        assert name not in names
        names.add(f"--{name}" if kind == "long-option" else name)
    assert found == PARSER


def test_the_man_page() -> None:
    """Its synopsis, which leaves out that --help is everywhere."""
    text = (_SHARE / "man/man1/nix-aurora.1").read_text()
    synopsis = text.partition(".Sh SYNOPSIS\n")[2].partition("\n.Sh ")[0]
    found: dict[str, set[str]] = {"": set(), "mount": set()}
    for usage in synopsis.split(".Nm\n")[1:]:
        (commands,) = re.findall(r"^\.Cm (.*)$", usage, re.MULTILINE) or [""]
        options = {f"--{name}" for name in re.findall(r"Fl -([a-z-]+)", usage)}
        for command in commands.split(" | "):
            found[command] = found.get(command, set()) | options | {"--help"}
            if command:
                parent, _, name = command.rpartition(" ")
                found[parent].add(name)
    found[""].add("mount")
    found["mount"].add("--help")
    assert found == PARSER


def test_the_man_page_tells_of_each_command() -> None:
    text = (_SHARE / "man/man1/nix-aurora.1").read_text()
    told = set(re.findall(r"^\.It Cm ([a-z ]+?)(?: Op .*)?$", text, re.MULTILINE))
    assert told | {""} | {"mount"} == PARSER.keys()


def test_the_settings_are_those_that_the_boot_reads() -> None:
    """In the page and in the file itself."""
    values = {"auto", *(path.name for path in Path(layouts.FOLDER).iterdir())}
    page = (_SHARE / "man/man5/nix-aurora.conf.5").read_text()
    assert set(re.findall(r"^\.It Cm ([a-z]+)$", page, re.MULTILINE)) == values
    assert re.findall(r"^\.It Cm ([A-Z_]+)$", page, re.MULTILINE) == ["STORE_LAYOUT"]
