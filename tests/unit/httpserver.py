"""A real HTTPS server on the loopback interface that fails on request."""

import json
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behavior = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    """A server that answers a path with its behaviors, in turn; the last one repeats."""

    daemon_threads = False  # joined when the server closes
    request_queue_size = 20

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = context
        self.routes: dict[str, list[Behavior]] = {}
        self.requests: list[str] = []  # paths, in the order of their arrival
        self.headers: list[dict[str, str]] = []
        self.tunnels: list[str] = []  # the targets that clients requested with CONNECT
        self.tunnel_target: tuple[str, int] | None = None  # None resets them
        self.arrived = threading.Event()
        self.closing = threading.Event()

    def url(self, path: str, *, host: str = "127.0.0.1") -> str:
        scheme = "https" if self.context else "http"
        return f"{scheme}://{host}:{self.server_port}{path}"

    def serve(self, path: str, *behaviors: Behavior) -> str:
        """Set the behaviors of a path, and return its URL."""
        self.routes[path] = list(behaviors)
        return self.url(path)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.context:  # otherwise the handshake happens in the handler's thread
            connection = self.context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as in socketserver
        # The reset must be the first thing that the client receives.
        if not struct.unpack("ii", request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))[0]:
            super().shutdown_request(request)
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Log nothing: the tests are about clients that hang up."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.server.headers.append(dict(self.headers))
        self.server.arrived.set()
        route = self.server.routes.get(self.path, [status(404)])
        behavior = route.pop(0) if len(route) > 1 else route[0]
        behavior(self)

    def do_POST(self) -> None:
        self.do_GET()  # behaviors read the body if they need it

    def do_PUT(self) -> None:
        self.do_GET()

    def do_CONNECT(self) -> None:
        self.server.tunnels.append(self.path)
        if self.server.tunnel_target is None:
            reset()(self)
            return
        with socket.create_connection(self.server.tunnel_target) as upstream:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: upstream, upstream: self.connection}
            while not self.server.closing.is_set():
                for end in select.select(list(ends), [], [], 0.05)[0]:
                    if not (data := end.recv(1 << 16)):
                        return
                    ends[end].sendall(data)

    def log_message(self, *_: object) -> None:
        """Log nothing: stderr is for the program under test."""


def content(body: bytes, *, announce: int | None = -1, delay: float = 0) -> Behavior:
    """Send ``body``; ``announce`` replaces its true Content-Length, and None omits it."""

    def behave(handler: Handler) -> None:
        handler.send_response(200)
        if announce is not None:
            length = len(body) if announce < 0 else announce
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(body)
        handler.server.closing.wait(delay)

    return behave


def answer(code: int, body: object, **headers: str) -> Behavior:
    """Answer with JSON; ``retry_after`` becomes the header Retry-After."""

    def behave(handler: Handler) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json; charset=utf-8")
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return behave


def encoded(body: bytes) -> Behavior:
    """Send ``body`` unchanged, and claim that it was compressed in transit."""

    def behave(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def stall(body: bytes = b"", *, announce: int = 0) -> Behavior:
    """Send ``body``, or not even a status if it is empty, and then keep the client waiting."""

    def behave(handler: Handler) -> None:
        if body:
            content(body, announce=announce)(handler)
            handler.wfile.flush()
        handler.server.closing.wait()

    return behave


def reset(body: bytes = b"", *, announce: int = 0) -> Behavior:
    """Send ``body``, or not even a status if it is empty, and then reset the connection."""

    def behave(handler: Handler) -> None:
        if body:
            content(body, announce=announce)(handler)
            handler.wfile.flush()
        linger = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    return behave


def status(code: int, **headers: str) -> Behavior:
    """Answer with a status; ``retry_after`` becomes the header Retry-After."""

    def behave(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-").title(), value)
        handler.end_headers()

    return behave


def gated(gate: threading.Event, behavior: Behavior) -> Behavior:
    """Run ``behavior`` once ``gate`` is open."""

    def behave(handler: Handler) -> None:
        gate.wait()
        behavior(handler)

    return behave


@contextmanager
def running(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run a server in a thread; with a context it uses TLS."""
    server = Server(context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
