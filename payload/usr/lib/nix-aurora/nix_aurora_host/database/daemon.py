"""End the daemon's processes before a database is replaced.

Each of them keeps the former database open, whatever file has its name now: it would take valid
paths for garbage, and its registrations would be lost.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.system import link, read, run

_GROUPS = "/sys/fs/cgroup"


def end_processes() -> int:
    """End the programs in the daemon's control group, and return the number of processes.

    A daemon that still waits for the import is a script, and continues.
    """
    group, main = (_show(name) for name in ("ControlGroup", "MainPID"))
    if not group.startswith("/"):
        return 0  # the unit is not running, or systemd is not
    found = _find(group)
    if int(main) in found:
        run(["systemctl", "stop", paths.DAEMON])  # a kill would make it a failed unit
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
        pids = map(int, (read(str(listed)) or "").split())  # a build's group may have been removed
        found += [
            pid for pid in pids if not (link(f"/proc/{pid}/exe") or "/usr/").startswith("/usr/")
        ]
    return found
