"""Units, the daemon that runs, and the sockets that listen."""

import socket
import struct
from collections.abc import Collection, Mapping
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.facts import Daemon, Unit
from nix_aurora_host.system import read, resolve, run

_PROPERTIES = {
    "Id": "name",
    "LoadState": "load",
    "ActiveState": "active",
    "SubState": "sub",
    "Result": "result",
    "UnitFileState": "file_state",
    "FragmentPath": "fragment",
}
_LISTENING = 1 << 16  # __SO_ACCEPTCON in /proc/net/unix
_HELLO = 0x6E697863  # WORKER_MAGIC_1 and 2 of nix's worker-protocol.hh
_ANSWER = 0x6478696F


def gather_units() -> dict[str, Unit]:
    """Give our units as systemd knows them; none where it does not answer."""
    wanted = ",".join((*_PROPERTIES, "MainPID"))
    output = run(["systemctl", "show", f"--property={wanted}", *paths.UNITS]).stdout
    units = {}
    for block in output.split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in pairs:
            known = {ours: pairs.get(theirs, "") for theirs, ours in _PROPERTIES.items()}
            unit = Unit(**known, pid=int(pairs.get("MainPID") or 0))
            units[unit.name] = unit
    return units


def gather_daemon(units: Mapping[str, Unit]) -> Daemon | None:
    """Give the daemon that systemd runs, by its command line, which everybody may read."""
    unit = units.get(paths.DAEMON)
    if unit is None or not unit.pid:
        return None
    words = (read(f"/proc/{unit.pid}/cmdline") or "").split("\0")
    # A loader may come first, and after it the name that it is to give the program.
    programs = (word for word in words if word.startswith(f"{paths.PREFIX}/") and "/bin/" in word)
    return Daemon(unit.pid, next(programs, None))


def gather_listening() -> frozenset[str]:
    """Give the paths of sockets that a process of this host listens on, and that are there."""
    found = set()
    for line in (read("/proc/net/unix") or "").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and int(fields[3], 16) & _LISTENING:
            found.add(fields[7])
    return frozenset(path for path in paths.SOCKETS if _is_reached(path, found))


def _is_reached(path: str, bound: Collection[str]) -> bool:
    # It may be a link, and the socket may have been deleted under its listener.
    target = resolve(path)
    return target is not None and target in bound and Path(target).is_socket()


def daemon_answers(path: str, timeout: float) -> bool:
    """Greet the daemon as a client does; this starts it where only its socket is there."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(struct.pack("<Q", _HELLO))
            return connection.recv(8, socket.MSG_WAITALL) == struct.pack("<Q", _ANSWER)
    except OSError:
        return False
