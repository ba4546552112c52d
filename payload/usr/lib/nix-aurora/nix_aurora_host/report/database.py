"""The part of status about Nix's database and its copies."""

import time

from nix_aurora_host.gather.database import Database


def describe(database: Database) -> dict[str, object]:
    """Return the JSON value about the copies."""
    copies = database.copies
    return {
        "copies": None
        if copies is None
        else {copy.generation: {"time": copy.time, "paths": copy.count} for copy in copies},
        "lost": database.lost,
        "recovery": database.recovery,
    }


def render(database: Database) -> str:
    """Return lines about the copies."""
    lines = [database.recovery] if database.recovery else []
    if database.copies is None:
        lines.append("only root can see the copies")
    elif not database.copies:
        lines.append("not copied yet; nix-database-backup.timer copies it once a day")
    for copy in database.copies or ():
        date = time.strftime("%Y-%m-%d %H:%M", time.localtime(copy.time))
        lines.append(f"copied {date}: {copy.count} store paths")
    if database.lost:
        lines.append("an earlier database was lost: sudo nix-aurora recover")
    return "\n".join(lines)
