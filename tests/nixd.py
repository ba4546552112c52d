"""The inputs of packages with nixd: pins that name a replacement, and a server that serves it."""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import trustme

from nix_aurora.files import sha256_file
from tests.unit.httpserver import Server, content, running

_PATH = "/determinate-nixd/x86_64-linux"
_STANDIN = Path(__file__).with_name("nixd_standin.py")
_PINS = """\
[package]
release = 1
date = 2026-11-22
[release]
version = "3.22.1"
"""


class Pinned:
    """A pins.toml in ``directory`` that names the replacement, and a server that serves it."""

    def __init__(self, directory: Path, server: Server, authority: trustme.CA) -> None:
        self.program = _STANDIN
        server.serve(_PATH, content(_STANDIN.read_bytes()))
        self.server = server
        self._url = server.url(_PATH)
        self._directory = directory
        self._bundle = directory / "ca.pem"
        authority.cert_pem.write_to_path(str(self._bundle))

    def pins(self, sha256: str | None = None) -> Path:
        """Write the pins for both architectures, and return their path."""
        size, sha256 = self.program.stat().st_size, sha256 or sha256_file(self.program)
        tables = "".join(
            f'[{kind}.{arch}]\nurl = "{self._url}"\nsize = {size}\nsha256 = "{sha256}"\n'
            for kind in ("installer", "determinate-nixd")
            for arch in ("x86_64", "aarch64")
        )
        path = self._directory / f"pins-{sha256[:8]}.toml"
        path.write_text(_PINS + tables)
        return path

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the environment: the server's certificate authority, and a separate cache."""
        return {
            **{name: "" for name in os.environ if name.lower().endswith("_proxy")},
            "CURL_CA_BUNDLE": "",
            "REQUESTS_CA_BUNDLE": str(self._bundle),
            "XDG_CACHE_HOME": str(self._directory / "cache"),
        }


@contextmanager
def pinned(directory: Path) -> Iterator[Pinned]:
    """Serve the replacement until the block ends; ``directory`` is for its files."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with running(context) as server:
        yield Pinned(directory, server, authority)
