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


def end_processes() -> list[int]:
    """End what runs in the daemon's control group, and return the process ids.

    A daemon that still waits for the import is a script, and goes on.
    """
    command = ["systemctl", "show", "--property=ControlGroup", "--value", paths.DAEMON]
    group = run(command).stdout.strip()
    if not group.startswith("/"):
        return []  # it does not run, or no systemd does
    ended = []
    for listed in Path(f"{_GROUPS}{group}").rglob("cgroup.procs"):
        for pid in map(int, (read(str(listed)) or "").split()):  # a build's group may go meanwhile
            program = link(f"/proc/{pid}/exe")
            if program is not None and not program.startswith("/usr/"):
                with suppress(ProcessLookupError):  # so may the process
                    os.kill(pid, signal.SIGKILL)
                ended.append(pid)
    return ended
