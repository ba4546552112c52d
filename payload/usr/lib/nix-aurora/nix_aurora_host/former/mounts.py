"""What another Nix mounts on /nix: lines of /etc/fstab, and the mount that is there."""

import re
from dataclasses import dataclass

from nix_aurora_host.former.facts import ANOTHER, Cure, Kind, Trace

FSTAB = "/etc/fstab"
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of /etc/fstab, by its number, that mounts ``source`` on ``point``."""

    number: int
    source: str
    point: str
    kind: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mounted:
    """A mount: ``root`` is which directory of ``source``'s file system it shows."""

    point: str
    root: str
    kind: str
    source: str


def parse_fstab(text: str) -> list[Line]:
    """Return the lines that mount something: fstab(5)."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = [_unescape(field) for field in line.split()]
        if len(fields) < 2 or fields[0].startswith("#"):
            continue
        kind = fields[2] if len(fields) > 2 else "auto"
        options = fields[3] if len(fields) > 3 else "defaults"
        point = fields[1].rstrip("/") or "/"
        found.append(Line(number, fields[0], point, kind, tuple(options.split(","))))
    return found


def find_lines(text: str) -> Trace | None:
    """Return the trace that lines of /etc/fstab for /nix are."""
    lines = [
        line for line in parse_fstab(text) if line.point == "/nix" or line.point.startswith("/nix/")
    ]
    if not lines:
        return None
    effect = " and ".join(f"mounts {line.source} on {line.point}" for line in lines)
    numbers = tuple(line.number for line in lines)
    return Trace(Kind.FSTAB, FSTAB, ANOTHER, effect, Cure.COMMENT, "nix.mount", numbers)


def parse_mounts(mountinfo: str, point: str) -> list[Mounted]:
    """Return what is mounted on ``point``, the last on top, from /proc/self/mountinfo."""
    found = []
    for line in mountinfo.split("\n"):
        before, separator, after = line.partition(" - ")
        fields, more = before.split(" "), after.split(" ")
        if separator and len(fields) > 4 and len(more) > 1 and _unescape(fields[4]) == point:
            root, kind, source = _unescape(fields[3]), more[0], _unescape(more[1])
            found.append(Mounted(point, root, kind, source))
    return found


def find_mount(mountinfo: str) -> Trace | None:
    """Return the trace that the mount on /nix is; the caller knows that it is not ours."""
    mounted = parse_mounts(mountinfo, "/nix")
    if not mounted:
        return None
    top = mounted[-1]
    shown = top.source if top.root == "/" else f"{top.root} of {top.source}"
    effect = f"{shown} ({top.kind}) lies on /nix, in place of the store"
    return Trace(Kind.MOUNT, "/nix", ANOTHER, effect, Cure.UNMOUNT, "nix.mount")


def _unescape(text: str) -> str:
    """Return what fstab and mountinfo spell with octal escapes."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
