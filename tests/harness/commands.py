"""Run one command to its end, keep its output, and apply a time limit to its children, too."""

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from nix_aurora.errors import ToolError
from tests.harness.processes import children

# The environment of a test's script contains nothing of the tests' own environment.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
_ENVIRONMENT = {"PATH": _PATH, "LANG": "C.UTF-8", "TERM": "dumb"}
_REAPING = 2.0  # seconds


@dataclass(frozen=True)
class Result:
    """The result of a command: its exit code and its decoded output."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Return stdout, then stderr, to search in both."""
        return self.stdout + self.stderr


def script_command(
    script: str, environment: Mapping[str, str] | None = None, *, user: str | None = None
) -> list[str]:
    """Return a command that runs a bash script, ``-euo pipefail``, in ``/``.

    The script sees a minimal environment and ``environment``. ``user`` must have a group of the
    same name, and does not get a login.
    """
    variables = {**_ENVIRONMENT, **(environment or {})}
    if user is None:
        begin = ["/usr/bin/env", "-i", "-C", "/", "HOME=/root"]
    else:
        identity = [f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"]
        begin = ["/usr/bin/setpriv", *identity, "--", "/usr/bin/env", "-C", "/"]
    pairs = [f"{name}={value}" for name, value in variables.items()]
    return [*begin, *pairs, "bash", "-euo", "pipefail", "-c", script]


def execute(
    command: Sequence[str | Path],
    *,
    timeout: float,
    check: bool = True,
    stdin: IO[bytes] | None = None,
    name: str | None = None,
) -> Result:
    """Run ``command`` until it exits, even if it leaves children behind.

    ``name`` is its name in the error. Raises ToolError with the whole output for a non-zero exit
    code (with ``check``) and after ``timeout`` seconds, when its process group is killed.
    """
    argv = [str(word) for word in command]
    # Files replace pipes, since a daemon that the command starts may keep its output open.
    with TemporaryFile() as out, TemporaryFile() as err:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=out,
            stderr=err,
            start_new_session=True,
            umask=0o022,  # modes of files in a root must not depend on the tests' umask
        )
        late = False
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            if process.returncode is None:
                _end(process)
        result = Result(process.returncode, _read(out), _read(err))
    if late or (check and result.returncode != 0):
        got = f"nothing for {timeout} s" if late else str(result.returncode)
        raise ToolError(
            f"running a command: {name or shlex.join(argv)}: expected exit code 0, got {got}\n"
            f"--- stdout\n{result.stdout}\n--- stderr\n{result.stderr}"
        )
    return result


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and its process group."""
    # The children are killed first: nsenter has to reap its child in the other PID namespace. As an
    # orphan the child would wait for our own PID 1, and block the end of the namespace.
    for pid in children(process.pid):
        with suppress(ProcessLookupError):  # the process may have ended meanwhile
            os.kill(pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # the command may continue without its children
        process.wait(_REAPING)
    with suppress(ProcessLookupError):  # usually no process is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
