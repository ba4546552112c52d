"""Find another Nix's mounts on /nix: lines of /etc/fstab, and the current mount."""

from dataclasses import dataclass

from nix_aurora_host.former.facts import ANOTHER, Cure, Kind, Trace
from nix_aurora_host.mounts import parse, unescape

FSTAB = "/etc/fstab"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of /etc/fstab, by its number, that mounts ``source`` on ``point``."""

    number: int
    source: str
    point: str
    kind: str
    options: tuple[str, ...]


def parse_fstab(text: str) -> list[Line]:
    """Return the lines that mount something: fstab(5)."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = [unescape(field) for field in line.split()]
        if len(fields) < 2 or fields[0].startswith("#"):
            continue
        kind = fields[2] if len(fields) > 2 else "auto"
        options = fields[3] if len(fields) > 3 else "defaults"
        point = fields[1].rstrip("/") or "/"
        found.append(Line(number, fields[0], point, kind, tuple(options.split(","))))
    return found


def find_lines(text: str) -> Trace | None:
    """Return the trace for the lines of /etc/fstab that mount on /nix."""
    lines = [
        line for line in parse_fstab(text) if line.point == "/nix" or line.point.startswith("/nix/")
    ]
    if not lines:
        return None
    effect = " and ".join(f"mounts {line.source} on {line.point}" for line in lines)
    numbers = tuple(line.number for line in lines)
    return Trace(Kind.FSTAB, FSTAB, ANOTHER, effect, Cure.COMMENT, "nix.mount", numbers)


def find_mount(mountinfo: str) -> Trace | None:
    """Return the trace for the mount on /nix; the caller knows that it is not ours."""
    mounted = [mount for mount in parse(mountinfo) if mount.point == "/nix"]
    if not mounted:
        return None
    top = mounted[-1]
    shown = top.source if top.root == "/" else f"{top.root} of {top.source}"
    effect = f"{shown} ({top.kind}) lies on /nix, in place of the store"
    return Trace(Kind.MOUNT, "/nix", ANOTHER, effect, Cure.UNMOUNT, "nix.mount")
