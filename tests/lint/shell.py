"""The project's shell files as linters and hosts see them: rendered, and with their dialect."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nix_aurora.closure.proof import Closure
from nix_aurora.package.command_line import read_command_line
from nix_aurora.package.completion import completion_context
from nix_aurora.package.lists import read_layouts
from nix_aurora.package.render import render
from nix_aurora.run import run
from tests.closures import CACERT, MANUAL, NIX

TOP = Path(__file__).resolve().parents[2]
# The scripts below these directories run on a host; all others run where the project is built.
_HOST = ("payload/", "payload-nixd/", "scriptlets/")
_SHEBANG = re.compile(r"#!\s*(?:/usr/bin/env\s+)?(?:\S*/)?(bash|sh)\b")
_SOURCED = re.compile(r"^ *\. (/\S+)$", re.MULTILINE)
_PREFIXES = frozenset({"builtin", "command", "exec"})  # builtins that run their argument
_RUNNERS = frozenset({"unshare"})  # programs that run the words after ``--``


@dataclass(frozen=True)
class Script:
    """A shell file: its path in the project, its text after rendering, bash or POSIX sh."""

    path: str
    text: str
    dialect: str  # in shellcheck's spelling: bash or sh

    @property
    def shfmt_dialect(self) -> str:
        """Return the dialect in shfmt's spelling."""
        return {"bash": "bash", "sh": "posix"}[self.dialect]


@dataclass(frozen=True)
class Calls:
    """The commands of a script: names and absolute paths; ``functions`` are those that it may call.

    The functions are its own and those of the files that it sources. A sourced file may call the
    functions of the scripts that source it.
    """

    commands: frozenset[str]
    functions: frozenset[str]


def tool(name: str) -> str:
    """Return the path of a linter: the one beside our python, else the one in PATH."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    # A missing tool is a failure, on CI and elsewhere: a skipped check has not passed.
    if found is None:
        raise FileNotFoundError(f"{name}: expected it to be installed, got nothing: make setup")
    return found


def project_files() -> list[str]:
    """Return every file of the project, including new ones that git does not track yet."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP)
    return sorted(name for name in set(listed.split("\0")) if name and (TOP / name).is_file())


def shell_paths() -> list[str]:
    """Return the shell files among them, recognized by shebang or suffix."""
    return [name for name in project_files() if _dialect(name) is not None]


def host_paths() -> list[str]:
    """Return the shell files that run on a host."""
    return [name for name in shell_paths() if name.startswith(_HOST)]


@cache
def load(name: str) -> Script:
    """Read and render a shell file."""
    text = (TOP / name).read_text(encoding="utf-8")
    if name.endswith(".in"):
        context = {
            "closure": synthetic_closure(),
            "layouts": read_layouts(TOP),
            **completion_context(read_command_line(TOP / "payload")),
            **{"nix": f"/nix/store/{NIX}", "cacert": f"/nix/store/{CACERT}"},
            "manual": f"/nix/store/{MANUAL}",
        }
        text = render(text, context, name)
    return Script(name, text, _dialect(name) or "sh")


def synthetic_closure() -> Closure:
    """Return a closure with which templates are rendered."""
    return Closure(
        version="3.22.1",
        system="x86_64-linux",
        arch="x86_64",
        nix=f"/nix/store/{NIX}",
        cacert=f"/nix/store/{CACERT}",
        manual=f"/nix/store/{MANUAL}",
        paths=(),
        commands=("nix", "nix-store"),
        name="nix-3.22.1-x86_64-linux",
    )


def calls(script: Script) -> Calls:
    """Return what a script calls, by its syntax tree."""
    tree = _parse(script.text, script.shfmt_dialect)
    functions = _functions(script)
    for name in host_paths() if script.path.endswith(".bash") else ():
        if script.path in _sources(user := load(name)):
            functions |= _functions(user)
    return Calls(frozenset(_commands(tree, script.shfmt_dialect)), frozenset(functions))


def _functions(script: Script) -> set[str]:
    """Return the functions that a script and its sources define."""
    functions, seen, left = set(), {script.path}, [script]
    while left:
        current = left.pop()
        tree = _parse(current.text, current.shfmt_dialect)
        functions |= {
            node["Name"]["Value"] for node in _nodes(tree) if node.get("Type") == "FuncDecl"
        }
        new = [name for name in _sources(current) if name not in seen]
        seen.update(new)
        left += [load(name) for name in new]
    return functions


def _sources(script: Script) -> list[str]:
    """Return the project's files that a script sources."""
    names = [f"payload{name}" for name in _SOURCED.findall(script.text)]
    return [name for name in names if (TOP / name).exists()]


def _dialect(name: str) -> str | None:
    if Path(name).suffix in {".fish", ".zsh"}:
        return None
    with (TOP / name).open("rb") as file:
        start = file.read(100).decode("utf-8", "replace")
    if match := _SHEBANG.match(start):
        return match[1]
    if "/bash-completion/" in name or name.endswith(".bash"):
        return "bash"
    return "sh" if name.endswith(".sh") else None


def _parse(text: str, dialect: str) -> dict[str, Any]:
    done = subprocess.run(
        [tool("shfmt"), "-ln", dialect, "--to-json"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    tree: dict[str, Any] = json.loads(done.stdout)
    return tree


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for child in tree:
            yield from _nodes(child)


def _commands(tree: object, dialect: str) -> Iterator[str]:
    for node in _nodes(tree):
        if node.get("Type") == "CallExpr" and node.get("Args"):
            yield from _called([_literal(word) for word in node["Args"]], dialect)


def _called(words: list[str | None], dialect: str) -> Iterator[str]:
    """Yield the programs that a simple command runs; None is a word known only at run time."""
    while words and words[0] in _PREFIXES:
        yield words[0] or ""
        del words[0]
        while words and (words[0] or "").startswith("-"):
            del words[0]
    if not words or not words[0]:
        return
    yield words[0]
    if words[0] == "trap" and len(words) > 1 and words[1] and words[1] != "-":
        yield from _commands(_parse(words[1], dialect), dialect)
    if words[0] in _RUNNERS and "--" in words:
        yield from _called(words[words.index("--") + 1 :], dialect)


def _literal(word: dict[str, Any]) -> str | None:
    """Return a word's text if nothing in it is expanded, else None."""
    text = ""
    for part in word["Parts"]:
        if part["Type"] in {"Lit", "SglQuoted"}:
            text += part.get("Value", "")
        elif part["Type"] == "DblQuoted":
            inner = _literal({"Parts": part.get("Parts", [])})
            if inner is None:
                return None
            text += inner
        else:
            return None
    return text
