"""JSON objects, one a line, as QEMU and its guest agent speak them."""

import json
import socket
import time
from typing import Any

_SIZE = 1 << 20  # bytes of one read


class Channel:
    """One end of a conversation over a connected socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._buffer = b""

    def send(self, message: object, *, prefix: bytes = b"") -> None:
        """Send an object; ``prefix`` goes before it. Raises OSError when nobody is there."""
        self._end.settimeout(None)
        self._end.sendall(prefix + json.dumps(message).encode() + b"\n")

    def receive(self, timeout: float) -> dict[str, Any]:
        """Give the next object.

        Raises TimeoutError when none is complete within ``timeout`` seconds, and EOFError when
        none is to come.
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
        """End the conversation."""
        self._end.close()

    @staticmethod
    def _decode(line: bytes) -> dict[str, Any]:
        # The agent puts 0xFF before the answer that tells where its answers start anew.
        message: dict[str, Any] = json.loads(line.rpartition(b"\xff")[2])
        return message
