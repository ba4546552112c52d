"""Test that every message first says what failed, and that every hint names a command.

This checks the sources: each error that the builder or the host's command raises, with ``{}`` for
inserted values.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lint.shell import TOP

_BUILDER = TOP / "nix_aurora"
_HOST = TOP / "payload/usr/lib/nix-aurora/nix_aurora_host"

_ERRORS = frozenset(
    {
        *("AuroraError", "UsageError", "PinError", "FetchError", "VerificationError"),
        *("ToolError", "PublishError", "BuildError", "CommandError"),
    }
)
# The usual form is "cannot build the package: rpmbuild: …". If a value is wrong, the message begins
# with the option, variable or file that contains it: "--arch: expected X, got Y".
_CANNOT = re.compile(r"cannot (?:[a-z]+ .+|\{\}: .+)")
_SUBJECT = r"(?:--[a-z0-9]+|[A-Z][A-Z_]+|[a-z]+\.toml|pins update|release \{\}|\{\})"
_EXPECTED = re.compile(rf"{_SUBJECT}: (?:.+: )?(?:(?:expected .+|\{{\}}), .*\bgot\b.*|\{{\}})")
# A hint begins with one of these. The builder's hint may also be an option of build.py, or a
# sentence for a person who has to investigate.
_SENTENCE = re.compile(
    r"--|check |save the text |find out who |try again later|a release that is new may not be |"
    r"the file was replaced, |download the installer again|XDG_CACHE_HOME=|\[tarball\] in |\{\}"
)
_KNOWN = frozenset({"sudo", "nix-aurora", "build.py", "make", "journalctl", "ls", "rpm", "findmnt"})
_KNOWN_TO_BUILDER = _KNOWN | {"git", "gpg", "rm"}


class Message(NamedTuple):
    """An error in the source; ``hint`` is None if there is none.

    ``on_host`` means that the host's command raises it, whose hints are all commands.
    """

    place: str
    text: str
    hint: str | None
    on_host: bool


def _template(node: ast.expr | None) -> str | None:
    """Return the text of a string, with ``{}`` for each inserted value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part) or "{}" for part in node.values)
    if isinstance(node, ast.BinOp):
        return f"{_template(node.left) or '{}'}{_template(node.right) or '{}'}"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _template(node.func.value) if node.func.attr == "rstrip" else None
    if isinstance(node, ast.Call) and isinstance(node.args[0], ast.List):  # command([…])
        return " ".join(_template(word) or "{}" for word in node.args[0].elts)
    return None


def _messages(path: Path, root: Path) -> Iterator[Message]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id not in _ERRORS or not node.args:
            continue
        text = _template(node.args[0])
        if text is None:  # a variable, whose text another call creates
            continue
        hints = [word.value for word in node.keywords if word.arg == "hint"]
        hint = _template(next(iter([*hints, *node.args[1:2]]), None))
        place = f"{path.relative_to(root)}:{node.lineno}"
        yield Message(place, text, hint, node.func.id == "CommandError")


def _all() -> Iterator[tuple[str, Message]]:
    for root in (_BUILDER, _HOST):
        for path in sorted(root.rglob("*.py")):
            for message in _messages(path, root):
                yield str(path.relative_to(root).with_suffix("")), message


def _faults(message: Message) -> list[str]:
    """Return the faults of a message; the list is empty if there are none."""
    faults = []
    if not (_CANNOT.fullmatch(message.text) or _EXPECTED.fullmatch(message.text)):
        faults.append(f"{message.place}: does not say first what failed: {message.text}")
    if message.text.endswith((".", "!")) or "\n" in message.text:
        faults.append(f"{message.place}: is not one line without a full stop: {message.text}")
    hint = message.hint
    known = _KNOWN if message.on_host else _KNOWN_TO_BUILDER
    sentence = hint and not message.on_host and _SENTENCE.match(hint)
    if hint and not sentence and hint.split()[0] not in known:
        faults.append(f"{message.place}: the hint is no command of ours or of the host: {hint}")
    return faults


def test_messages_have_the_form() -> None:
    assert [fault for _, message in _all() for fault in _faults(message)] == []


def test_messages_are_found() -> None:
    """Check the collector: if it found nothing, the test above would pass."""
    modules = {module for module, _ in _all()}
    assert {*(f"commands/{name}" for name in ("purge", "mount", "recover", "relabel"))} <= modules
    assert {"closure/unpack", "release/network", "run"} <= modules


def test_hint_of_the_hosts_command_is_a_command() -> None:
    sentence = Message("here", "cannot read the file: x: gone", "check the file", on_host=True)
    assert _faults(sentence)
    assert not _faults(sentence._replace(on_host=False))
    assert not _faults(sentence._replace(hint="sudo nix-aurora doctor"))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Cannot read the file: x: gone", None),
        ("purge: only root may", None),
        ("reading the file: x: gone", None),
        ("reading the file: x: expected one line, got two", None),
        ("cannot read the file: x: gone", "look above for why"),
        ("cannot read the file: x.", None),
        ("cannot read the file: x\nand more", None),
        ("cannot read the file: x: gone", "frobnicate --now"),
        ("cannot read the file: x: gone", "cat /etc/shadow | mail x"),
    ],
)
def test_other_forms_are_faults(text: str, hint: str | None) -> None:
    assert _faults(Message("here", text, hint, on_host=False))
