"""Exchange JSON objects, one per line, as QEMU and its guest agent do."""

import json
import socket
import time
from typing import Any

_SIZE = 1 << 20  # bytes of one read


class Channel:
    """One end of a connected socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._buffer = b""

    def send(self, message: object, *, prefix: bytes = b"") -> None:
        """Send an object, preceded by ``prefix``. Raises OSError if nobody is connected."""
        self._end.settimeout(None)
        self._end.sendall(prefix + json.dumps(message).encode() + b"\n")

    def receive(self, timeout: float) -> dict[str, Any]:
        """Return the next object.

        Raises TimeoutError if none is complete within ``timeout`` seconds, and EOFError at the end.
        """
        deadline = time.monotonic() + timeout
        while True:
            line, separator, rest = self._buffer.partition(b"\n")
            if separator:
                self._buffer = rest
                return self._decode(line)
            self._end.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                received = self._end.recv(_SIZE)
            except ConnectionError:
                received = b""
            if not received:
                raise EOFError("the other end is gone")
            self._buffer += received

    def close(self) -> None:
        """Close the connection."""
        self._end.close()

    @staticmethod
    def _decode(line: bytes) -> dict[str, Any]:
        # After a reset, the agent sends 0xFF before its first answer.
        message: dict[str, Any] = json.loads(line.rpartition(b"\xff")[2])
        return message
