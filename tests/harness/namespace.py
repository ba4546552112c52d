"""Private mount and PID namespaces that live exactly as long as their object."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from nix_aurora.errors import ToolError
from tests.harness.closing import Closing
from tests.harness.commands import Result, execute

# The holder is PID 1 of the PID namespace. It reads a pipe, and only the tests hold the other end:
# when they close it or die, the kernel ends all processes in the namespace, and its mounts
# disappear. The holder prints its number in the PID namespace of the tests, read from their /proc.
_HOLDER = 'read -r pid rest </proc/self/stat; echo "$pid"; exec cat >/dev/null'
# Control groups outlive their processes, so the supervisor removes ours ($2) at the end.
_SUPERVISOR = """
unshare --pid --fork --kill-child -- sh -c "$1"
[ -z "$2" ] || [ ! -d "$2" ] || find "$2" -depth -type d -exec rmdir {} +
"""
_CLOSE_TIMEOUT = 20


class Namespace(Closing):
    """A mount namespace (private propagation), a PID namespace and, on request, a network one.

    ``cgroup`` is a directory in the mount namespace that is removed at the end.
    """

    def __init__(self, *, network: bool = True, cgroup: Path | None = None) -> None:
        own_network = [] if network else ["--net"]
        self._supervisor = subprocess.Popen(
            [
                *("unshare", "--mount", "--propagation=private", *own_network, "--"),
                *("sh", "-c", _SUPERVISOR, "supervisor", _HOLDER, str(cgroup or "")),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C must only reach the tests, which then close the pipe
        )
        _, output, errors = _pipes(self._supervisor)
        line = output.readline()
        if not line:
            message = errors.read().decode(errors="replace")
            self._supervisor.wait()
            raise ToolError(f"making a namespace: unshare: expected a process, got {message}")
        self.pid = int(line)
        """The holder's process id."""
        self.execute(["mount", "-t", "proc", "proc", "/proc"])
        if not network:
            self.execute(["ip", "link", "set", "lo", "up"])

    def enter(self, command: Sequence[str | Path]) -> list[str]:
        """Return a command that runs ``command`` in the namespaces."""
        words = [str(word) for word in command]
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--", *words]

    def execute(
        self,
        command: Sequence[str | Path],
        *,
        timeout: float = 60,
        check: bool = True,
        stdin: IO[bytes] | None = None,
        name: str | None = None,
    ) -> Result:
        """Run ``command`` in the namespaces to its end; see commands.execute."""
        argv = self.enter(command)
        return execute(argv, timeout=timeout, check=check, stdin=stdin, name=name)

    def close(self) -> None:
        """End all processes in the namespaces; return when the namespaces no longer exist."""
        pipes = _pipes(self._supervisor)
        pipes[0].close()
        try:
            self._supervisor.wait(_CLOSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):  # the process may have ended meanwhile
                os.kill(self.pid, signal.SIGKILL)
            self._supervisor.wait(_CLOSE_TIMEOUT)
        for pipe in pipes[1:]:
            pipe.close()

    def __enter__(self) -> Self:
        return self


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise TypeError("the supervisor was started without pipes")
    return process.stdin, process.stdout, process.stderr
