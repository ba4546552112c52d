"""Read facts about processes from /proc."""

from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def children(pid: int) -> list[int]:
    """Return the direct children of a process."""
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and _field(int(entry.name), "PPid") == [pid]:
            found.append(int(entry.name))
    return found


def namespaced_ids(pid: int) -> list[int]:
    """Return a process's ids in all PID namespaces that it is in, ours first.

    The list is empty if it has ended.
    """
    return _field(pid, "NSpid")


def _field(pid: int, name: str) -> list[int]:
    with suppress(OSError):  # processes start and end meanwhile
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return [int(word) for word in value.split()]
    return []
