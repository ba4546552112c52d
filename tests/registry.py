"""A registry in memory that images can be pushed to and pulled from.

It implements the parts of https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
that skopeo and podman use. Uploaded content must have the digest in its request.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

# The format is described in containers-registries.conf(5).
_SETTINGS = """\
[[registry]]
location = "{host}"
insecure = true
"""


class Registry(ThreadingHTTPServer):
    """Blobs and manifests by digest, and the digests of manifests by repository and tag."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content: dict[str, tuple[str, bytes]] = {}  # media type and bytes
        self.tags: dict[tuple[str, str], str] = {}

    @property
    def host(self) -> str:
        """Return the name of this registry, which is the first part of an image's name."""
        return f"127.0.0.1:{self.server_port}"

    def environment(self, place: Path) -> dict[str, str]:
        """Return an environment in which skopeo uses no TLS.

        ``place`` becomes its home for that.
        """
        settings = place / ".config/containers/registries.conf"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(_SETTINGS.format(host=self.host))
        return {"HOME": str(place), "NO_PROXY": "127.0.0.1"}


@contextmanager
def running_registry() -> Iterator[Registry]:
    """Yield a running registry."""
    with Registry() as registry:
        thread = threading.Thread(target=registry.serve_forever)
        thread.start()
        try:
            yield registry
        finally:
            registry.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        """Answer requests for blobs, manifests, and the API's version."""
        _, _, *words = urlsplit(self.path).path.split("/")
        found: tuple[str, bytes] | None = ("application/json", b"{}")
        if words != [""]:
            *repository, _, reference = words
            tag = ("/".join(repository), reference)
            found = self.server.content.get(self.server.tags.get(tag, reference))
        if found is None:
            self._answer(404)
        else:
            digest = f"sha256:{hashlib.sha256(found[1]).hexdigest()}"
            headers = {"Content-Type": found[0], "Docker-Content-Digest": digest}
            self._answer(200, found[1], headers)

    def do_HEAD(self) -> None:
        """Answer like GET, without the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Start the upload of a blob."""
        self._answer(202, headers={"Location": f"{self.path}?content="})

    def do_PATCH(self) -> None:
        """Store a blob's content under a temporary name until its digest arrives."""
        data = self._body()
        name = hashlib.sha256(data).hexdigest()
        self.server.content[name] = ("application/octet-stream", data)
        self._answer(202, headers={"Location": f"{self.path}{name}"})

    def do_PUT(self) -> None:
        """Finish the upload of a blob, or store a manifest."""
        address = urlsplit(self.path)
        _, _, *repository, kind, reference = address.path.split("/")
        if kind == "manifests":
            data = self._body()
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.server.content[digest] = (self.headers["Content-Type"], data)
            if reference != digest:
                self.server.tags["/".join(repository), reference] = digest
        else:
            words = parse_qs(address.query)
            digest = words["digest"][0]
            self.server.content[digest] = self.server.content.pop(words["content"][0])
            if f"sha256:{words['content'][0]}" != digest:
                self._answer(400)
                return
        self._answer(201, headers={"Docker-Content-Digest": digest})

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, code: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: stderr is for the program under test."""
