"""Units, the daemon that runs, and the sockets that listen."""

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
# What the names that our socket is bound by end in, whoever has made it.
_SOCKET = "/daemon-socket/socket"
_HELLO = 0x6E697863  # WORKER_MAGIC_1 and 2 of nix's worker-protocol.hh
_ANSWER = 0x6478696F


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit, in systemd's words; ``file_state`` is is-enabled's."""

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
        """Return whether the unit is masked, for now or for good."""
        return self.load == "masked"


@dataclass(frozen=True, slots=True)
class Daemon:
    """The running daemon: ``program`` is its path in the store."""

    pid: int
    program: str | None


def gather_units() -> dict[str, Unit]:
    """Return our units as systemd knows them; none where it does not answer."""
    wanted = ",".join((*_PROPERTIES, "MainPID"))
    return parse_units(run(["systemctl", "show", f"--property={wanted}", *units.UNITS]).stdout)


def parse_units(text: str) -> dict[str, Unit]:
    """Parse what systemctl show prints, a block for each unit."""
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
    """Return the daemon that systemd runs, by its command line, which everybody may read."""
    unit = units.get(paths.DAEMON)
    if unit is None or not unit.pid:
        return None
    return Daemon(unit.pid, parse_program(read(f"/proc/{unit.pid}/cmdline") or ""))


def parse_program(command_line: str) -> str | None:
    """Return the program of the store that a process runs, from its /proc/PID/cmdline."""
    # A loader may come first, and after it the name that it is to give the program.
    for word in command_line.split("\0"):
        if word.startswith(f"{paths.PREFIX}/") and "/bin/" in word:
            return word
    return None


def gather_listening() -> frozenset[str]:
    """Return the paths of sockets that a process of this host listens on, and that are there.

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
            except ValueError:  # a name with a line break in it makes lines of any form
                continue
    return found


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - what a socket's own path leads to
    except OSError:  # deleted under its listener, or in a mount namespace of its own
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISSOCK(status.st_mode) else None


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
