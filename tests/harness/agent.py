"""Run commands in a virtual machine through QEMU's guest agent, over a serial line."""

import itertools
import shlex
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import IO, Any

from nix_aurora.errors import ToolError
from tests.harness.channel import Channel
from tests.harness.commands import Result

# The guest starts the agent when it sees a serial port with this name.
NAME = "org.qemu.guest_agent.0"
_ANSWER = 60.0  # seconds
_REAPING = 10.0
_PIECE = 1 << 20  # bytes
# Seconds between two polls. Each poll costs the guest some time.
_PAUSE = 0.03
_LONGEST_PAUSE = 0.3
# $0 begins the names of the files with the command's input and output. They are files since a
# daemon that the command starts may keep its output open. The command belongs to no unit, and has
# its own session, so that a signal to its group reaches its children. The script starts few
# programs, since each takes an emulated processor 50 ms.
_WRAPPER = """
group=/sys/fs/cgroup/harness
[ -d "$group" ] || mkdir "$group"
echo 0 >"$group/cgroup.procs"
setsid "$@" <"$0.in" >"$0.out" 2>"$0.err" &
trap 'kill -KILL "-$!"' TERM
wait "$!"
code=$?
[ ! -s "$0.out" ] || cat "$0.out"
[ ! -s "$0.err" ] || cat "$0.err" >&2
rm "$0.in" "$0.out" "$0.err"
exit "$code"
"""


class NoAnswerError(ToolError):
    """The guest, or a command in it, took too long."""


class Agent:
    """Run commands in a guest, also from several threads at once."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def answers(self, timeout: float) -> bool:
        """Return whether the agent answers within ``timeout`` seconds; discard earlier output.

        Raises EOFError if the machine has ended.
        """
        number = next(self._numbers)
        deadline = time.monotonic() + timeout
        request = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
        with self._lock:
            self._channel.send(request, prefix=b"\xff")
            try:
                while self._channel.receive(deadline - time.monotonic()).get("return") != number:
                    pass
            except TimeoutError:
                return False
        return True

    def start(self, command: Sequence[str], *, patience: float = _ANSWER) -> int:
        """Start a command in the guest and return its process id there."""
        path, *arguments = command
        flags = {"capture-output": True}
        answer = self._call("guest-exec", patience, path=path, arg=arguments, **flags)
        return int(answer["pid"])

    def execute(
        self,
        command: Sequence[str],
        *,
        timeout: float,
        check: bool = True,
        stdin: IO[bytes] | None = None,
        name: str | None = None,
    ) -> Result:
        """Run ``command`` in the guest to its end; see commands.execute."""
        place = f"/run/agent.{next(self._numbers)}"
        patience = min(timeout, _ANSWER)
        self._write(f"{place}.in", stdin, patience)
        pid = self.start(["/bin/sh", "-c", _WRAPPER, place, *command], patience=patience)
        status = self._wait(pid, timeout)
        late = not status["exited"]
        if late:
            self.start(["/bin/kill", "-TERM", str(pid)])
            status = self._wait(pid, _REAPING)
        result = Result(
            status.get("exitcode", -status.get("signal", 0)),
            _text(status.get("out-data", "")),
            _text(status.get("err-data", "")),
        )
        if late or (check and result.returncode != 0):
            got = f"nothing for {timeout} s" if late else str(result.returncode)
            raise (NoAnswerError if late else ToolError)(
                f"running a command: {name or shlex.join(command)}: expected exit code 0, got {got}"
                f"\n--- stdout\n{result.stdout}\n--- stderr\n{result.stderr}"
            )
        return result

    def _wait(self, pid: int, timeout: float) -> dict[str, Any]:
        """Return the status of a command when it has ended, or after ``timeout`` seconds."""
        start = time.monotonic()
        patience = min(timeout, _ANSWER)
        while True:
            status: dict[str, Any] = self._call("guest-exec-status", patience, pid=pid)
            elapsed = time.monotonic() - start
            if status["exited"] or elapsed > timeout:
                return status
            time.sleep(min(max(elapsed / 10, _PAUSE), _LONGEST_PAUSE))

    def _write(self, path: str, source: IO[bytes] | None, patience: float) -> None:
        handle = self._call("guest-file-open", patience, path=path, mode="w")
        while source is not None and (piece := source.read(_PIECE)):
            encoded = b64encode(piece).decode()
            self._call("guest-file-write", patience, handle=handle, **{"buf-b64": encoded})
        self._call("guest-file-close", patience, handle=handle)

    def _call(self, request: str, patience: float, **arguments: object) -> Any:  # noqa: ANN401 - requests differ
        with self._lock:
            self._channel.send({"execute": request, "arguments": arguments})
            try:
                answer = self._channel.receive(patience)
            except (TimeoutError, EOFError) as error:
                raise NoAnswerError(
                    f"asking the guest agent: {request}: expected an answer, got none ({error})"
                ) from error
        if "return" not in answer:
            raise ToolError(f"asking the guest agent: {request}: got {answer.get('error')}")
        return answer["return"]


def _text(encoded: str) -> str:
    return b64decode(encoded).decode(errors="replace")
