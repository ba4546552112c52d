"""Replace the line of /etc/fstab that mounts another Nix's store on /nix."""

import re

from nix_aurora_host import paths
from nix_aurora_host.former.mounts import FSTAB, Line, parse_fstab

FILE = FSTAB


def parse(text: bytes) -> list[Line]:
    """Return the lines that mount something."""
    return parse_fstab(text.decode(errors="surrogateescape"))


def move_line(text: bytes, line: Line) -> bytes:
    """Return the file's text with a line that mounts the same as ``line`` on /var/lib/nix.

    The former line becomes a comment. If the file no longer has it, because it was put aside or
    belonged to a unit, the new line is added.
    """
    if line not in parse(text):
        newline = b"" if not text or text.endswith(b"\n") else b"\n"
        return text + newline + _new_line(line)
    lines = text.split(b"\n")
    old = lines[line.number - 1]
    fields = re.split(rb"(\s+)", old.strip())
    fields[2] = paths.BASE.encode()
    lines[line.number - 1 : line.number] = [b"# nix-aurora adopt: " + old.strip(), b"".join(fields)]
    return b"\n".join(lines)


def _new_line(line: Line) -> bytes:
    options = ",".join(option for option in line.options if option) or "defaults"
    fields = (line.source, paths.BASE, line.kind, options)
    return _encode(" ".join(map(_escape, fields))) + b" 0 0\n"


def _escape(text: str) -> str:
    """Return a field with the octal escapes of fstab(5)."""
    return re.sub(r"[\\\s]", lambda match: f"\\{ord(match[0]):03o}", text)


def _encode(text: str) -> bytes:
    """Return text of a file as its original bytes."""
    return text.encode(errors="surrogateescape")
