"""Parse the lines of text.command as bash does, with enough of its grammar to check fixes."""

import os
import re

_OPERATOR = re.compile(r"\s*(&&|;|\||>>)\s*")
_QUOTED = re.compile(r"""'([^']*)'|"([^"$`\\!]*)\"""")
_ANSI_C = re.compile(r"\$'((?:[^'\\]|\\.)*)'")
_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)


def commands(line: str) -> list[list[str]]:
    """Return the words of each command in ``line``; a file after >> is a separate command.

    Raises ValueError for anything other than quoted words and the operators of chains.
    """
    found: list[list[str]] = [[]]
    rest = line
    while rest:
        if match := _OPERATOR.match(rest):
            found.append([])
            rest = rest[match.end() :]
        elif rest[0] == " ":
            rest = rest[1:]
        else:
            word, rest = _word(rest)
            found[-1].append(word)
    return found


def _word(text: str) -> tuple[str, str]:
    word = ""
    while text and text[0] not in " ;|&>":
        if match := _QUOTED.match(text):
            word += match[1] or match[2] or ""
        elif match := _ANSI_C.match(text):
            word += _unescaped(match[1])
        elif match := _PLAIN.match(text):
            word += match[0]
        else:
            raise ValueError(f"bash takes this for more than text: {text[:40]!r}")
        text = text[match.end() :]
    return word, text


def _unescaped(text: str) -> str:
    def value(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1][1:], 16)]) if match[1][:1] == b"x" else match[1]

    return os.fsdecode(_ESCAPE.sub(value, os.fsencode(text)))
