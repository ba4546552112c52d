"""The daemon's processes, ended before a database is replaced.

Each has the former database open, whatever lies under its name: it would take valid paths for
garbage of its own, and what it registers would be lost.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.system import link, read, run

_GROUPS = "/sys/fs/cgroup"


def end_processes() -> int:
    """End what runs in the daemon's control group, and return how many processes that were.

    A daemon that still waits for the import is a script, and goes on.
    """
    group, main = (_show(name) for name in ("ControlGroup", "MainPID"))
    if not group.startswith("/"):
        return 0  # it does not run, or no systemd does
    found = _find(group)
    if int(main) in found:
        run(["systemctl", "stop", paths.DAEMON])  # killed, it would be a failed unit
    for pid in _find(group):
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(pid, signal.SIGKILL)
    return len(found)


def _show(name: str) -> str:
    return run(["systemctl", "show", f"--property={name}", "--value", paths.DAEMON]).stdout.strip()


def _find(group: str) -> list[int]:
    """Return the processes of a control group that run a program of the store."""
    found = []
    for listed in Path(f"{_GROUPS}{group}").rglob("cgroup.procs"):
        pids = map(int, (read(str(listed)) or "").split())  # a build's group may have gone
        found += [
            pid for pid in pids if not (link(f"/proc/{pid}/exe") or "/usr/").startswith("/usr/")
        ]
    return found
