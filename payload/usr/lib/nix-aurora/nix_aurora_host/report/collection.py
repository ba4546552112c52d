"""The part of status about the collection of garbage."""

import os

from nix_aurora_host.gather.collection import Garbage
from nix_aurora_host.text import human, printable


def describe(garbage: Garbage) -> dict[str, object]:
    """Return the JSON value; sizes are in bytes, null is unknown."""
    dead = garbage.dead
    return {
        "enabled": garbage.enabled,
        "timer": garbage.state,
        "next": garbage.next or None,
        "last": garbage.last or None,
        "failed": garbage.failed,
        "keep_days": garbage.days,
        "limits": dict(garbage.limits),
        "dead": None if dead is None else {"paths": dead.paths, "size": dead.size},
    }


def render(garbage: Garbage) -> str:
    """Return lines for people."""
    return "\n".join((_timer(garbage), _limits(garbage), _dead(garbage)))


def _timer(garbage: Garbage) -> str:
    if not garbage.enabled:
        return "not collected automatically; to enable that: sudo nix-aurora gc enable"
    lines = [f"collected each week; generations are kept for {garbage.days} days"]
    if garbage.next:
        lines.append(f"next: {garbage.next}")
    if garbage.last:
        failed = ", which failed: sudo nix-aurora doctor" if garbage.failed else ""
        lines.append(f"last: {garbage.last}{failed}")
    return "\n".join(lines)


def _limits(garbage: Garbage) -> str:
    least = garbage.limits.get("min-free")
    if least is None:
        return "builds do not collect garbage: min-free is not set"
    wanted = garbage.limits.get("max-free")
    until = f", until {_size(wanted)} is free" if wanted is not None else ""
    return f"a build collects garbage if less than {_size(least)} is free{until}"


def _size(value: str) -> str:
    return human(int(value)) if value.isdecimal() else printable(value)


def _dead(garbage: Garbage) -> str:
    dead = garbage.dead
    if dead is not None:
        return f"a collection now would free about {human(dead.size)} ({dead.paths} store paths)"
    if os.geteuid() != 0:
        return "only root can see what a collection would free: sudo nix-aurora status"
    return "what a collection would free is unknown: the database did not answer in time"
