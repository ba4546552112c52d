"""What /proc says about processes."""

from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def children(pid: int) -> list[int]:
    """Give the direct children of a process."""
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and _field(int(entry.name), "PPid") == [pid]:
            found.append(int(entry.name))
    return found


def namespaced_ids(pid: int) -> list[int]:
    """Give a process's ids in all PID namespaces that it is in, ours first; [] if it is gone."""
    return _field(pid, "NSpid")


def _field(pid: int, name: str) -> list[int]:
    with suppress(OSError):  # processes come and go while we look
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return [int(word) for word in value.split()]
    return []
