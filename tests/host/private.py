"""Servers that require a password or a token, run in a guest by test_pages.py.

    private.py CERTIFICATE CACHE TARBALL

The servers listen at 127.0.0.1:443. cache.example.com serves the files of the directory CACHE to a
user with a password. api.github.com serves one repository, the file TARBALL, to clients with the
token. Each request is logged as a line on stdout: the user id of the client, the host, the path,
and the status.
"""

import json
import ssl
import sys
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_PASSWORD = f"Basic {b64encode(b'you:secret').decode()}"
_TOKEN = "token ghp_0123456789"  # noqa: S105 - the page's example
_REVISION = "1" * 40
_REPOSITORY = "/repos/you/private"


def _owner(port: int) -> int:
    """Return the user id of the process at the client's end of a connection."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(f":{port:04X}"):
            return int(words[7])
    return -1


class Handler(BaseHTTPRequestHandler):
    """A handler that answers requests to both hosts."""

    cache: Path
    tarball: Path

    def do_GET(self) -> None:
        """Send a file, or the answer of GitHub's API about a repository."""
        status, body = self._answer()
        print(_owner(self.client_address[1]), self.headers["Host"], self.path, status, flush=True)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def _answer(self) -> tuple[int, bytes]:
        given = self.headers["Authorization"]
        if self.headers["Host"] == "cache.example.com":
            if given != _PASSWORD:
                return 401, b""
            path = self.cache / self.path.lstrip("/")
            return (200, path.read_bytes()) if path.is_file() else (404, b"")
        if given != _TOKEN:
            return 404, b"{}"  # GitHub hides repositories with this answer
        if self.path.startswith(f"{_REPOSITORY}/commits/"):
            commit = {"sha": _REVISION, "commit": {"tree": {"sha": _REVISION}}}
            return 200, json.dumps(commit).encode()
        if self.path == f"{_REPOSITORY}/tarball/{_REVISION}":
            return 200, self.tarball.read_bytes()
        return 404, b"{}"

    def log_message(self, *_: object) -> None:
        """Print nothing more: do_GET prints each request."""


def main(certificate: str, cache: str, tarball: str) -> None:
    """Serve until killed."""
    Handler.cache, Handler.tarball = Path(cache), Path(tarball)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 443), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
