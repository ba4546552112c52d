"""A Fedora Atomic host, booted in systemd-nspawn."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests.harness.commands import Result
from tests.harness.guest import execute_in, find_leader, in_group
from tests.harness.processes import children
from tests.harness.state import HostState
from tests.harness.system import PAUSE, TIMEOUT, System
from tests.harness.tree import Tree

_REBOOT = 133  # nspawn's exit code when the guest wants to start again


class Host(System):
    """A host that runs ``tree``, with its /etc and /var in the directory ``state``.

    The root is read-only, /etc an overlay, /var a directory or, with ``var_size`` in bytes, a
    file system of that size; both outlive boots and the object. ``users`` are made before the
    first boot, ids from 1000 on, homes in /var/home; the first is in ``wheel``. ``binds`` maps
    directories of this machine to where the guest sees them, read-only, and ``flags`` go to
    nspawn. The network is a loopback. Used in a ``with``, it boots and is killed in the end.
    With ``ordinary`` it is no ostree host: its root is writable, and kept like /var.
    """

    def __init__(
        self,
        tree: Tree,
        state: Path,
        *,
        users: Sequence[str] = ("tester", "other"),
        var_size: int | None = None,
        binds: Mapping[Path, str] | None = None,
        flags: Sequence[str] = (),
        ordinary: bool = False,
    ) -> None:
        super().__init__(state / "console.log")
        self.tree = tree
        self._users = list(users)
        self._binds = dict(binds or {})
        self._flags = list(flags)
        self._ordinary = ordinary
        self._cgroup = Path(f"/sys/fs/cgroup/nix-aurora-{os.getpid()}-{id(self):x}")
        self._path = state
        self._var_size = var_size
        self._state: HostState | None = None
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    # --- life

    def open(self) -> None:
        """Prepare the state and the namespaces; the host is off."""
        self._state = HostState(self._path, self._cgroup, self._var_size, self._ordinary)
        if self._state.is_new and self._users:
            try:
                self._state.mount(self.tree)
                self._state.add_users(self._users)
                self._state.unmount()
            except BaseException:
                self.close()
                raise

    def boot(
        self, tree: Tree | None = None, *, wait: bool = True, timeout: float = TIMEOUT
    ) -> float:
        """Start the host, with another ``tree`` if one is given; give the seconds it took.

        Returns as soon as scripts can run or, with ``wait``, when wait_until_up() does.
        """
        if self._nspawn is not None:
            raise RuntimeError("the host is on")
        self.tree = tree or self.tree
        self._ready.mount(self.tree)
        start = time.monotonic()
        with self.console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                self._ready.namespace.enter(self._nspawn_command()),
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

    def reboot(self, tree: Tree | None = None, *, timeout: float = TIMEOUT) -> float:
        """Shut the guest down and start it again, into another ``tree`` if one is given."""
        self.run("systemctl --no-block reboot")
        self.wait_for_exit(_REBOOT, timeout=timeout)
        return self.boot(tree, timeout=timeout)

    def poweroff(self, *, timeout: float = TIMEOUT) -> None:
        """Shut the guest down."""
        self.run("systemctl --no-block poweroff")
        self.wait_for_exit(0, timeout=timeout)

    def wait_for_exit(self, code: int, *, timeout: float = TIMEOUT) -> None:
        """Wait until nspawn ends by itself; raises ToolError if that is not with ``code``."""
        got: int | str = "none"
        if self._nspawn is not None:
            with suppress(subprocess.TimeoutExpired):  # then got stays as it is
                got = self._nspawn.wait(timeout)
        if got != code:
            raise self.fault("shutting down", f"exit code {code}", str(got))
        self._switched_off()

    def kill(self) -> None:
        """End every process of the guest at once, as a crash does; nothing is shut down."""
        if self._nspawn is None:
            return
        nspawn = children(self._nspawn.pid)  # what was started is nsenter
        # With its PID 1 the guest dies; nspawn waits for that, where it has come so far.
        for pid in [child for parent in nspawn for child in children(parent)] or nspawn:
            with suppress(ProcessLookupError):  # it may have ended just now
                os.kill(pid, signal.SIGKILL)
        self._nspawn.wait()
        self._switched_off()

    def close(self) -> None:
        """Kill the guest; its state stays."""
        if self._state is not None:
            try:
                self.kill()
            finally:
                self._state.close()
                self._state = None

    # --- inside

    @property
    def _ready(self) -> HostState:
        if self._state is None:
            raise RuntimeError("the host is not open")
        return self._state

    def _nspawn_command(self) -> list[str]:
        state = self._ready
        binds = [f"--bind-ro={source}:{target}" for source, target in self._binds.items()]
        command = [
            *("systemd-nspawn", "--quiet", "--boot", "--machine=atomic-host"),
            *("--register=no", "--keep-unit", "--console=read-only", "--link-journal=no"),
            *("--private-network", "--resolv-conf=off", "--timezone=off"),
            *(f"--directory={state.root}", f"--bind={state.etc}:/etc", f"--bind={state.var}:/var"),
            *(*binds, *self._flags),
        ]
        if not self._ordinary:
            command += ["--read-only", f"--bind-ro={state.ostree_booted}:/run/ostree-booted"]
        return in_group(self._cgroup, command)

    def _wait_for_systemd(self, nspawn: subprocess.Popen[bytes], deadline: float) -> None:
        while not (leader := find_leader(nspawn.pid)):
            if nspawn.poll() is not None or time.monotonic() > deadline:
                raise self.fault("booting", "systemd to answer", f"exit {nspawn.returncode}")
            time.sleep(PAUSE)
        self._leader = leader

    def _switched_off(self) -> None:
        self._nspawn = None
        self._leader = 0
        self._ready.unmount()

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
        holder = self._ready.namespace.pid
        return execute_in(
            self._leader, holder, command, check=check, timeout=timeout, stdin=stdin, name=name
        )
