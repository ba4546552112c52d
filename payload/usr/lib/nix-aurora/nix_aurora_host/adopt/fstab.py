"""/etc/fstab: the lines for /nix, and the one that mounts the same on /var/lib/nix instead."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from nix_aurora_host import paths

FILE = "/etc/fstab"
_WORDS = re.compile(rb"\s+")
_OCTAL = re.compile(r"\\([0-7]{3})")
_BINDS = {"bind", "rbind"}


class Line(NamedTuple):
    """A line of fstab(5): its number from 1 on, and its fields."""

    number: int
    source: str
    point: str
    kind: str
    options: tuple[str, ...]

    @property
    def is_bind(self) -> bool:
        """Return whether the line shows a directory, and not a file system of its own."""
        return bool(_BINDS & set(self.options))


def parse_fstab(text: bytes) -> Iterator[Line]:
    """Yield the lines that mount something."""
    for number, line in enumerate(text.split(b"\n"), start=1):
        words = [word.decode(errors="surrogateescape") for word in _WORDS.split(line.strip())]
        if len(words) < 3 or words[0].startswith("#"):
            continue
        source, point, kind = (_unescape(word) for word in words[:3])
        options = words[3].split(",") if len(words) > 3 else ["defaults"]
        yield Line(number, source, point.rstrip("/") or "/", kind, tuple(options))


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def move_line(text: bytes, line: Line) -> bytes:
    """Return the file's text with a comment in place of ``line``, and the same for our store."""
    lines = text.split(b"\n")
    old = lines[line.number - 1]
    fields = re.split(rb"(\s+)", old.strip())
    fields[2] = paths.BASE.encode()
    lines[line.number - 1 : line.number] = [
        b"# nix-aurora adopt: " + old.strip(),
        b"".join(fields),
    ]
    return b"\n".join(lines)
