"""Keep one ssh connection, over which all scripts run."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from accept.records import Answer
from nix_aurora.errors import UsageError, quoted
from nix_aurora.text import printable

_LARGEST = 4 << 20  # bytes of output that are read
# These override the user's configuration: no terminal, no forwarding, no remote command.
_SETTINGS = (
    *("ControlPersist=no", "RequestTTY=no", "RemoteCommand=none", "ClearAllForwardings=yes"),
    *("ForwardAgent=no", "ForwardX11=no", "PermitLocalCommand=no"),
    *("ConnectTimeout=15", "ServerAliveInterval=10", "ServerAliveCountMax=6"),
)


class LostError(Exception):
    """The host cannot be reached, or the connection is lost; the message has ssh's output."""


class LateError(Exception):
    """A script did not end in time."""


class Connection:
    """A connection to ``host``, a name that ssh accepts; ``options`` are passed on to ssh."""

    def __init__(self, host: str, options: Sequence[str]) -> None:
        if not host or host.startswith("-") or not host.isprintable():
            raise UsageError(f"HOST: expected [user@]host, got {quoted(host)}")
        if shutil.which("ssh") is None:
            raise UsageError("cannot connect: ssh is not installed", hint="install openssh-clients")
        self._host = host
        self._options = list(options)
        self._place = Path(tempfile.mkdtemp(prefix="accept-"))  # a socket's path must be short
        self._socket = self._place / "ssh"

    def open(self, limit: float | None = None) -> None:
        """Connect; ssh may ask for a password.

        With ``limit``, the attempt may take that many seconds. Raises LostError on failure.
        """
        self.disconnect()
        # ssh goes to the background once it has connected, and keeps its output files open.
        with tempfile.TemporaryFile() as said:
            command = [*self._words("ControlMaster=yes"), "-f", "-N", "--", self._host]
            try:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    timeout=limit,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise LostError("no answer") from error
            if done.returncode != 0:
                raise LostError(_last_line(_read(said)) or f"ssh ended with {done.returncode}")

    def run(self, command: str, script: str, *, limit: float) -> Answer:
        """Run ``command`` on the host with ``script`` as its input.

        Raises LostError if the connection is lost, LateError after ``limit`` seconds.
        """
        # If the connection is lost, ssh fails instead of opening another one.
        words = self._words("ControlMaster=no", "BatchMode=yes", "ProxyCommand=false")
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(script.encode())
            given.seek(0)
            code = _execute([*words, "--", self._host, command], given, out, err, limit)
            answer = Answer(code, _read(out), _read(err))
        if code == 255 and not self._is_open():
            raise LostError(_last_line(answer.stderr) or "the connection was lost")
        return answer

    def disconnect(self) -> None:
        """End the connection, if there is one."""
        self._control("exit")
        self._socket.unlink(missing_ok=True)

    def close(self) -> None:
        """End the connection, and remove its files."""
        self.disconnect()
        shutil.rmtree(self._place, ignore_errors=True)

    def _is_open(self) -> bool:
        return self._control("check") == 0

    def _control(self, what: str) -> int:
        if not self._socket.exists():
            return 255
        words = [*self._words(), "-O", what, "--", self._host]
        with suppress(subprocess.TimeoutExpired):
            return subprocess.run(words, capture_output=True, timeout=30, check=False).returncode
        return 255

    def _words(self, *settings: str) -> list[str]:
        """Return the first words of a command; ssh uses the first value of a setting."""
        given = (*settings, f"ControlPath={self._socket}", *_SETTINGS)
        return ["ssh", "-T", *(f"-o{setting}" for setting in given), *self._options]


def _execute(
    command: list[str], given: IO[bytes], out: IO[bytes], err: IO[bytes], limit: float
) -> int:
    """Run a command in its own session: Ctrl-C must reach only us, who then clean up over ssh."""
    with subprocess.Popen(
        command, stdin=given, stdout=out, stderr=err, start_new_session=True
    ) as process:
        try:
            return process.wait(limit)
        except BaseException as error:
            with suppress(ProcessLookupError):  # the process may have ended meanwhile
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise LateError(f"no end after {limit:.0f} s") from error
            raise


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(_LARGEST).decode(errors="replace")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return printable(lines[-1].strip()) if lines else ""
