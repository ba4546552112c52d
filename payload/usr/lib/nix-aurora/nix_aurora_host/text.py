"""Make text from outside safe for a terminal, and build commands from words.

Anybody can write file names, process names, settings and the output of other programs. None of this
text reaches a terminal, a log or a suggested command except through this module.
"""

import os
import shlex
from collections.abc import Iterable

LIMIT = 200
"""The number of characters that a message shows of a text from outside."""


def printable(text: str, limit: int | None = LIMIT) -> str:
    r"""Return ``text`` as one line that a terminal shows unchanged.

    Every character that ``str.isprintable`` refuses becomes one of Python's escapes: control
    characters (``\x1b``), line breaks (``\n``), marks that change the direction of text
    (``\u202e``), undecodable bytes (``\xff``). Text of more than ``limit`` characters is cut and
    ends in ``…``; None means no limit.
    """
    cut = text if limit is None or len(text) <= limit else text[: limit - 1]
    shown = "".join(
        character if character.isprintable() else _escaped(character) for character in cut
    )
    return shown if len(cut) == len(text) else f"{shown}…"


def command(words: Iterable[str]) -> str:
    """Return a line for bash that runs exactly ``words``, and that is safe to print."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(_ansi_c(character) for character in word)}'"


def _ansi_c(character: str) -> str:
    """Return one character in the form for bash's ``$'…'``: bash(1), QUOTING."""
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def _escaped(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:  # a byte that is not valid UTF-8 (PEP 383)
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def human(size: float) -> str:
    """Return a number of bytes in a readable form: 69.3 MiB."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
