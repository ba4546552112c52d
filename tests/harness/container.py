"""Start, end and enter a guest of systemd-nspawn."""

import os
import signal
import subprocess
import time
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests.harness.commands import Result
from tests.harness.guest import execute_in, find_leader, in_group
from tests.harness.namespace import Namespace
from tests.harness.processes import children
from tests.harness.system import PAUSE, TIMEOUT, System

REBOOT = 133  # nspawn's exit code if the guest wants to reboot
_COMMAND = (
    *("systemd-nspawn", "--quiet", "--machine=atomic-host", "--register=no", "--keep-unit"),
    *("--console=read-only", "--link-journal=no", "--private-network", "--resolv-conf=off"),
    "--timezone=off",
)
# nspawn needs a writable /run and a cgroup2 tree; $1 is our own group in the tree.
_PREPARE = """
set -eu
mount -t tmpfs -o mode=0755 run /run
mkdir -p /run/systemd/system /run/lock
umount --lazy /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "$1"
"""
# Control groups that nspawn left behind would prevent the next boot.
_CLEAR = """
for attempt in 1 2 3 4 5 6 7 8 9; do
    find "$1" -mindepth 1 -depth -type d -exec rmdir {} + && exit
    sleep 0.1 # the last processes are still ending
done
exit 1
"""


def container_namespace(cgroup: Path) -> Namespace:
    """Return a new namespace in which nspawn can start, with the control group ``cgroup``."""
    namespace = Namespace(cgroup=cgroup)
    try:
        namespace.execute(["sh", "-c", _PREPARE, "prepare", cgroup])
    except BaseException:
        namespace.close()
        raise
    return namespace


def clear_group(namespace: Namespace, cgroup: Path) -> None:
    """Remove the control groups that a guest left below ``cgroup``."""
    namespace.execute(["sh", "-c", _CLEAR, "clear", cgroup])


class Container(System):
    """A guest that systemd-nspawn runs; subclasses provide its files."""

    def __init__(self, state: Path) -> None:
        super().__init__(state / "console.log")
        self._path = state
        self._cgroup = Path(f"/sys/fs/cgroup/nix-aurora-{os.getpid()}-{id(self):x}")
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    @property
    @abstractmethod
    def _namespace(self) -> Namespace:
        """Return the namespace in which nspawn starts; raise RuntimeError if it is not open."""

    @abstractmethod
    def _switched_off(self) -> None:
        """Unmount what the boot mounted."""

    @property
    def network(self) -> int:
        """Return the id, in our namespace, of a process on the guest's network, or 0."""
        return self._leader

    def _start(self, words: Sequence[str], *, wait: bool, timeout: float) -> float:
        """Start nspawn with ``words``, and return the seconds until the guest was up."""
        start = time.monotonic()
        with self.console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                self._namespace.enter(in_group(self._cgroup, [*_COMMAND, *words])),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        try:
            self._wait_for_systemd(self._nspawn, start + timeout)
            if wait:
                self.wait_until_up(timeout=timeout)
        except BaseException:
            self.kill()
            raise
        return time.monotonic() - start

    def _require_off(self) -> None:
        if self._nspawn is not None:
            raise RuntimeError("the host is on")

    def poweroff(self, *, timeout: float = TIMEOUT) -> None:
        """Shut the guest down."""
        self.run("systemctl --no-block poweroff")
        self.wait_for_exit(0, timeout=timeout)

    def _shut_down_for_reboot(self, timeout: float) -> None:
        self.run("systemctl --no-block reboot")
        self.wait_for_exit(REBOOT, timeout=timeout)

    def wait_for_exit(self, code: int, *, timeout: float = TIMEOUT) -> None:
        """Wait until nspawn exits by itself; raise ToolError unless its exit code is ``code``."""
        got: int | str = "none"
        if self._nspawn is not None:
            with suppress(subprocess.TimeoutExpired):  # after a timeout, ``got`` keeps its value
                got = self._nspawn.wait(timeout)
        if got != code:
            raise self.fault("shutting down", f"exit code {code}", str(got))
        self._ended()

    def kill(self) -> None:
        """End every process of the guest at once, like a crash, without a shutdown."""
        if self._nspawn is None:
            return
        nspawn = children(self._nspawn.pid)  # nsenter is the process that we started
        # The guest ends when its PID 1 does. nspawn waits for that, if it had started completely.
        for pid in [child for parent in nspawn for child in children(parent)] or nspawn:
            with suppress(ProcessLookupError):  # the process may have ended meanwhile
                os.kill(pid, signal.SIGKILL)
        self._nspawn.wait()
        self._ended()

    def _ended(self) -> None:
        self._nspawn = None
        self._leader = 0
        self._switched_off()

    def _wait_for_systemd(self, nspawn: subprocess.Popen[bytes], deadline: float) -> None:
        while not (leader := find_leader(nspawn.pid)):
            if nspawn.poll() is not None or time.monotonic() > deadline:
                raise self.fault("booting", "systemd to answer", f"exit {nspawn.returncode}")
            time.sleep(PAUSE)
        self._leader = leader

    def _execute(
        self,
        command: Sequence[str],
        check: bool,
        timeout: float,
        stdin: IO[bytes] | None,
        name: str,
    ) -> Result:
        if not self._leader:
            raise RuntimeError("the host is off")
        holder = self._namespace.pid
        return execute_in(
            self._leader, holder, command, check=check, timeout=timeout, stdin=stdin, name=name
        )
