"""Replace the line of /etc/fstab that mounts a store somewhere else than on /var/lib/nix."""

import re
from collections.abc import Iterable
from itertools import pairwise

from nix_aurora_host import paths
from nix_aurora_host.former.mounts import FSTAB, Line, parse_fstab

FILE = FSTAB


def parse(text: bytes) -> list[Line]:
    """Return the lines that mount something."""
    return parse_fstab(text.decode(errors="surrogateescape"))


def move_line(text: bytes, line: Line, *, by: str = "adopt") -> bytes:
    """Return the file's text with a line that mounts the same as ``line`` on /var/lib/nix.

    The former line becomes a comment, which starts with the name of the command, ``by``. If the
    file no longer has it, because it was put aside or belonged to a unit, the new line is added.
    """
    if line not in parse(text):
        newline = b"" if not text or text.endswith(b"\n") else b"\n"
        return text + newline + new_line(line.source, line.kind, line.options) + b"\n"
    lines = text.split(b"\n")
    old = lines[line.number - 1]
    fields = re.split(rb"(\s+)", old.strip())
    fields[2] = paths.BASE.encode()
    lines[line.number - 1 : line.number] = [_mark(by) + old.strip(), b"".join(fields)]
    return b"\n".join(lines)


def find_moved(text: bytes, *, by: str) -> Line | None:
    """Return the line as it was before move_line(); None where the file has none."""
    number = _find_mark(text, by)
    if number is None:
        return None
    return parse(text.split(b"\n")[number].removeprefix(_mark(by)))[0]


def give_back(text: bytes, *, by: str) -> bytes:
    """Return the file's text as it was before move_line()."""
    number = _find_mark(text, by)
    if number is None:
        return text
    lines = text.split(b"\n")
    lines[number : number + 2] = [lines[number].removeprefix(_mark(by))]
    return b"\n".join(lines)


def _find_mark(text: bytes, by: str) -> int | None:
    """Return the index of the comment whose line, the next one, is still there."""
    lines = text.split(b"\n")
    for number, (comment, line) in enumerate(pairwise(lines)):
        former, now = parse(comment.removeprefix(_mark(by))), parse(line)
        if comment.startswith(_mark(by)) and former and now and now[0].point == paths.BASE:
            return number
    return None


def _mark(by: str) -> bytes:
    return f"# nix-aurora {by}: ".encode()


def new_line(source: str, kind: str, options: Iterable[str]) -> bytes:
    """Return a line that mounts something on /var/lib/nix, without its end."""
    listed = ",".join(option for option in options if option) or "defaults"
    fields = (source, paths.BASE, kind, listed)
    return _encode(" ".join(map(_escape, fields))) + b" 0 0"


def _escape(text: str) -> str:
    """Return a field with the octal escapes of fstab(5)."""
    return re.sub(r"[\\\s]", lambda match: f"\\{ord(match[0]):03o}", text)


def _encode(text: str) -> bytes:
    """Return text of a file as its original bytes."""
    return text.encode(errors="surrogateescape")
