"""The units, the running daemon, and the listening sockets."""

import os
import socket
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from nix_aurora_host import paths, units
from nix_aurora_host.system import read, run

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
# The end of each name of our socket, whether systemd or the daemon created it.
_SOCKET = "/daemon-socket/socket"
_HELLO = 0x6E697863  # WORKER_MAGIC_1 and 2 of nix's worker-protocol.hh
_ANSWER = 0x6478696F


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit, with states as systemd names them; ``file_state`` is the one of is-enabled."""

    name: str
    load: str = "loaded"
    active: str = "active"
    sub: str = ""
    result: str = "success"
    file_state: str = "enabled"
    fragment: str = ""
    pid: int = 0

    @property
    def masked(self) -> bool:
        """Return whether the unit is masked, until the next boot or permanently."""
        return self.load == "masked"


@dataclass(frozen=True, slots=True)
class Daemon:
    """The running daemon: ``program`` is its path in the store."""

    pid: int
    program: str | None


def gather_units() -> dict[str, Unit]:
    """Return our units as systemd knows them; nothing if it does not answer."""
    wanted = ",".join((*_PROPERTIES, "MainPID"))
    return parse_units(run(["systemctl", "show", f"--property={wanted}", *units.UNITS]).stdout)


def parse_units(text: str) -> dict[str, Unit]:
    """Parse the output of systemctl show, a block for each unit."""
    units = {}
    for block in text.split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in pairs:
            known = {ours: pairs.get(theirs, "") for theirs, ours in _PROPERTIES.items()}
            number = pairs.get("MainPID", "")
            unit = Unit(**known, pid=int(number) if number.isdecimal() else 0)
            units[unit.name] = unit
    return units


def gather_daemon(units: Mapping[str, Unit]) -> Daemon | None:
    """Return the daemon that systemd runs, from its command line, which any user may read."""
    unit = units.get(paths.DAEMON)
    if unit is None or not unit.pid:
        return None
    return Daemon(unit.pid, parse_program(read(f"/proc/{unit.pid}/cmdline") or ""))


def parse_program(command_line: str) -> str | None:
    """Return the store program that a process runs, from its /proc/PID/cmdline."""
    # The line may begin with a loader and the name that the loader shows for the program.
    for word in command_line.split("\0"):
        if word.startswith(f"{paths.PREFIX}/") and "/bin/" in word:
            return word
    return None


def gather_listening() -> frozenset[str]:
    """Return the paths of sockets that exist and that a process of this host listens on.

    Sockets are compared by inode, not by name: /var/lib/nix may be a link.
    """
    bound = {_identity(path) for path in parse_listening(read("/proc/net/unix") or "")}
    return frozenset(
        path for path in paths.SOCKETS if (found := _identity(path)) is not None and found in bound
    )


def parse_listening(text: str) -> set[str]:
    """Parse /proc/net/unix; return the names of listening sockets that may be the daemon's."""
    found = set()
    for line in text.splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7].endswith(_SOCKET) and fields[7].startswith("/"):
            try:
                if int(fields[3], 16) & _LISTENING:
                    found.add(fields[7])
            except ValueError:  # a name with a line break can produce any line
                continue
    return found


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - follows links
    except OSError:  # deleted, or in another mount namespace
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISSOCK(status.st_mode) else None


def daemon_answers(path: str, timeout: float) -> bool:
    """Return whether the daemon answers a client's greeting, which starts it if necessary."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(struct.pack("<Q", _HELLO))
            return connection.recv(8, socket.MSG_WAITALL) == struct.pack("<Q", _ANSWER)
    except OSError:
        return False
