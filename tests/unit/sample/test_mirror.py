"""Test the choice of a Debian mirror and its signature, with the real apt and mmdebstrap."""

import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nix_aurora.errors import FetchError, ToolError, VerificationError
from nix_aurora.run import run
from sample import mirror
from sample.debs import ALONE, ROOTS, Archive
from sample.target import ARCHITECTURES, Target
from tests.keyring import Keyring, new_keyring

_UBUNTU = "Ubuntu|Ubuntu|http://archive.example/ubuntu\n"
_DEBIAN = (
    "Debian|Debian-Security|http://mirror.example/debian-security/\n"
    "Debian|Debian|http://mirror.example/debian/\n"
)
_TARGET = Target("forky", ARCHITECTURES["x86_64"])
_SOURCES = """\
deb http://one.example/debian forky-updates main
deb [signed-by="/x y.gpg"] http://two.example/debian forky main
"""


@pytest.fixture
def apt_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that a fake apt-get prints as its targets; otherwise it runs the real one."""
    said = tmp_path / "said"
    programs = tmp_path / "programs"
    programs.mkdir()
    stub = programs / "apt-get"
    path = os.environ["PATH"]
    stub.write_text(
        f'#!/bin/sh\n[ "$1" != indextargets ] || exec cat {said}\nPATH={path} exec apt-get "$@"\n'
    )
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{path}")
    return said


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Send all downloads to a proxy that refuses them; yield the requested URLs."""
    urls: list[str] = []

    class Refuser(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            urls.append(self.path)
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuser) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("no_proxy", raising=False)
        yield urls
        server.shutdown()


def test_named_mirror_has_priority(apt_says: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt_says.write_text(_DEBIAN)
    monkeypatch.setenv(mirror.VARIABLE, "http://named.example/debian")
    assert mirror.debian_mirror("forky") == "http://named.example/debian"


def test_debian_uses_its_own_mirror(apt_says: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(mirror.VARIABLE, raising=False)
    apt_says.write_text(_DEBIAN)
    assert mirror.debian_mirror("forky") == "http://mirror.example/debian/"


@pytest.mark.parametrize("said", [_UBUNTU, ""], ids=["Ubuntu", "no sources, as on Fedora"])
def test_other_systems_use_mmdebstraps_default(
    said: str,
    apt_says: Path,
    asked: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sample requests the same index as mmdebstrap does without a mirror."""
    monkeypatch.delenv(mirror.VARIABLE, raising=False)
    apt_says.write_text(said)
    with pytest.raises(FetchError, match="cannot fetch a package index"):
        Archive(_TARGET, tmp_path / "cache").resolve()
    ours = {url for url in asked if url.endswith("/InRelease")}
    asked.clear()
    command = ["mmdebstrap", "--quiet", "--mode=chrootless", "--variant=custom", "forky"]
    subprocess.run([*command, str(tmp_path / "root")], capture_output=True, check=False)
    theirs = {url for url in asked if url.endswith("/forky/InRelease")}
    assert len(ours) == 1
    assert ours == theirs


def test_hint_without_apt_and_mmdebstrap_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(mirror.VARIABLE, raising=False)
    with pytest.raises(ToolError, match="cannot choose a Debian mirror: mmdebstrap") as caught:
        mirror.debian_mirror("forky")
    assert caught.value.hint == "make setup"


def test_sources_are_parsed() -> None:
    assert mirror.parse_sources(_SOURCES, "forky") == "http://two.example/debian"
    assert mirror.parse_sources(_SOURCES, "sid") is None


# --- a mirror of our own


@pytest.fixture(scope="module")
def key() -> Iterator[Keyring]:
    """Yield the key that signs our mirror."""
    with new_keyring() as key:
        yield key


@pytest.fixture(scope="module")
def served(key: Keyring, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URI of a signed mirror on the loopback with packages of the sample's names."""
    top = tmp_path_factory.mktemp("mirror")
    index = top / "dists/forky/main/binary-amd64"
    index.mkdir(parents=True)
    (index / "Packages").write_text("\n".join(_package(top, name) for name in (*ROOTS, *ALONE)))
    content = (index / "Packages").read_bytes()
    entry = f" {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/Packages\n"
    release = index.parents[1] / "Release"
    release.write_text(
        "Origin: Debian\nLabel: Debian\nSuite: testing\nCodename: forky\n"
        "Date: Thu, 01 Jan 2026 00:00:00 UTC\nArchitectures: amd64\nComponents: main\n"
        f"SHA256:\n{entry}"
    )
    sign = ["gpg", "--batch", "--yes", "--local-user", key.fingerprint, "--clearsign"]
    signed = [*sign, "--output", str(release.with_name("InRelease")), str(release)]
    subprocess.run(signed, env={**os.environ, **key.environment}, check=True, capture_output=True)
    handler = partial(_Quiet, directory=str(top))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _package(top: Path, name: str) -> str:
    """Build an empty package in the mirror, and return its stanza."""
    tree = top / f"{name}.tree"
    (tree / "DEBIAN").mkdir(parents=True)
    control = (
        f"Package: {name}\nVersion: 1.0-1\nArchitecture: amd64\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: empty\n"
    )
    (tree / "DEBIAN/control").write_text(control)
    file = top / f"{name}_1.0-1_amd64.deb"
    run(["dpkg-deb", "--build", "--root-owner-group", tree, file])
    content = file.read_bytes()
    return (
        f"{control}Filename: {file.name}\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
    )


@pytest.fixture
def trust(key: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: str) -> Path:
    """Make the archive's keyring a file with our key, and use our mirror."""
    keyring = tmp_path / "keyring.gpg"
    export = ["gpg", "--batch", "--output", str(keyring), "--export", key.fingerprint]
    subprocess.run(export, env={**os.environ, **key.environment}, check=True)
    monkeypatch.setattr(mirror, "KEYRING", keyring)
    monkeypatch.setenv(mirror.VARIABLE, served)
    return keyring


@pytest.mark.usefixtures("trust")
def test_packages_are_fetched_from_the_named_mirror(apt_says: Path, tmp_path: Path) -> None:
    apt_says.write_text(_UBUNTU)
    archive = Archive(_TARGET, tmp_path / "cache")
    packages = archive.resolve()
    assert {package.name for package in packages} == {*ROOTS, *ALONE}
    files = archive.fetch(packages)
    assert all(path.stat().st_size for path in files.values())


def test_mirror_with_another_signature_is_refused(trust: Path, served: str, tmp_path: Path) -> None:
    with new_keyring() as other:
        trust.unlink()
        export = ["gpg", "--batch", "--output", str(trust), "--export", other.fingerprint]
        subprocess.run(export, env={**os.environ, **other.environment}, check=True)
    with pytest.raises(VerificationError, match=f"cannot trust the mirror: {served}: ") as caught:
        Archive(_TARGET, tmp_path / "cache").resolve()
    assert mirror.VARIABLE in (caught.value.hint or "")


def test_nothing_is_fetched_without_a_keyring(trust: Path, tmp_path: Path) -> None:
    trust.unlink()
    with pytest.raises(ToolError, match="cannot check Debian's signature") as caught:
        Archive(_TARGET, tmp_path / "cache").resolve()
    assert caught.value.hint == "make setup"
