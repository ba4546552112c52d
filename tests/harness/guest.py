"""Enter a guest that systemd-nspawn runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tests.harness.commands import Result, execute
from tests.harness.processes import children, namespaced_ids

# $0 is a control group; the rest is the command to run in it.
_RUN_IN_GROUP = 'mkdir -p "$0" && echo $$ >"$0/cgroup.procs" && exec "$@"'
_SOCKET = "run/systemd/private"


def in_group(group: Path, command: Sequence[str]) -> list[str]:
    """Return a command that runs ``command`` in a control group, which it creates."""
    return ["sh", "-c", _RUN_IN_GROUP, str(group), *command]


def find_leader(starter: int) -> int:
    """Return the id, in our namespace, of the guest's PID 1; ``starter`` started its nspawn.

    It is 0 while systemd in the guest does not answer yet.
    """
    for nspawn in children(starter):
        depth = len(namespaced_ids(nspawn)) + 1
        for child in children(nspawn):
            ids = namespaced_ids(child)
            if len(ids) == depth and ids[-1] == 1:
                return child if Path(f"/proc/{child}/root", _SOCKET).exists() else 0
    return 0


def execute_in(
    leader: int,
    holder: int,
    command: Sequence[str],
    *,
    check: bool,
    timeout: float,
    stdin: IO[bytes] | None,
    name: str,
) -> Result:
    """Run ``command`` in all namespaces of the guest of ``leader``; see commands.execute.

    ``holder`` is a process that sees the guest's control groups in /sys/fs/cgroup.
    """
    groups = Path(f"/proc/{leader}/cgroup").read_text().splitlines()
    own = next(line.removeprefix("0::/") for line in groups if line.startswith("0::"))
    # This group is beside systemd's own group, so that systemd does not count our commands as part
    # of a unit.
    group = Path(f"/proc/{holder}/root/sys/fs/cgroup", own.removesuffix("init.scope"), "harness")
    enter = ["nsenter", f"--target={leader}", "--all", "--root", "--", *command]
    argv = in_group(group, enter)
    return execute(argv, check=check, timeout=timeout, stdin=stdin, name=name)
