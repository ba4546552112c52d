"""Test a build from pins to packages, over TLS, from an installer that contains the tarball."""

import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import trustme

from nix_aurora.files import sha256_file
from tests.rpm.builder import build_py, unpack
from tests.standin import build_installer
from tests.unit.httpserver import Server, content, running

pytestmark = pytest.mark.long

_PATH = "/releases/nix-installer-x86_64-linux"
_PINS = """\
[package]
release = 7
date = 2026-11-22
[release]
version = "3.22.1"
"""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def installer(tarballs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("installer") / "nix-installer-x86_64-linux"
    build_installer(tarballs["x86_64"], path)
    return path


@pytest.fixture(scope="module")
def server(authority: trustme.CA, installer: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with running(context) as server:
        server.serve(_PATH, content(installer.read_bytes()))
        yield server


@pytest.fixture
def environment(authority: trustme.CA, tmp_path: Path) -> Mapping[str, str]:
    """Return the environment of a user with a company's own authority, with a separate cache."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    cleared = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    return {
        **cleared,
        "CURL_CA_BUNDLE": "",
        "REQUESTS_CA_BUNDLE": str(bundle),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


def _write_pins(path: Path, url: str, installer: Path, sha256: str | None = None) -> Path:
    """Write pins that name the same file for everything that is pinned."""
    size, sha256 = installer.stat().st_size, sha256 or sha256_file(installer)
    entry = f'url = "{url}"\nsize = {size}\nsha256 = "{sha256}"\n'
    path.write_text(
        _PINS
        + "".join(
            f"[{kind}.{arch}]\n{entry}"
            for kind in ("installer", "determinate-nixd")
            for arch in ("x86_64", "aarch64")
        )
    )
    return path


def test_packages_are_built_from_pins(
    server: Server,
    installer: Path,
    tarballs: dict[str, Path],
    environment: Mapping[str, str],
    tmp_path: Path,
) -> None:
    """Compare the closure with one from ``--source`` and the tarball in the installer."""
    pins = _write_pins(tmp_path / "pins.toml", server.url(_PATH), installer)
    words = ("rpm", "--pins", pins, "--arch", "x86_64", "--level", "3")
    before = len(server.requests)
    done = build_py(*words, "--out", tmp_path / "pinned", env=environment)
    assert done.returncode == 0, done.stderr
    _, version, *_ = tarballs["x86_64"].name.split("-")
    names = [Path(line).name for line in done.stdout.splitlines()]
    assert names == [
        f"nix-aurora-{version}-7.src.rpm",
        f"nix-aurora-selinux-{version}-7.noarch.rpm",
        f"nix-aurora-{version}-7.x86_64.rpm",
    ]
    assert server.requests[before:] == [_PATH]

    words_of_source = ("srpm", "--pins", pins, "--source", tarballs["x86_64"], "--level", "3")
    given = build_py(*words_of_source, "--out", tmp_path / "given", env=environment)
    assert given.returncode == 0, given.stderr
    closures = [
        unpack(next((tmp_path / way).glob("*.src.rpm")), tmp_path / f"{way}-sources")
        / "closure-x86_64.tar.xz"
        for way in ("pinned", "given")
    ]
    assert {sha256_file(closure) for closure in closures} == {sha256_file(tarballs["x86_64"])}

    # The cache now has the file, so no network is needed, and the packages are the same.
    again = build_py(*words, "--offline", "--out", tmp_path / "offline", env=environment)
    assert again.returncode == 0, again.stderr
    assert len(server.requests) == before + 1
    assert [Path(line).name for line in again.stdout.splitlines()] == names
    for name in names:
        assert sha256_file(tmp_path / "offline" / name) == sha256_file(tmp_path / "pinned" / name)


def test_bytes_other_than_pinned_are_refused(
    server: Server, installer: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    pins = _write_pins(tmp_path / "pins.toml", server.url(_PATH), installer, sha256="0" * 64)
    out = tmp_path / "out"
    done = build_py("rpm", "--pins", pins, "--arch", "x86_64", "--out", out, env=environment)
    assert (done.returncode, done.stdout) == (4, "")
    assert f"expected SHA-256 {'0' * 64}" in done.stderr
    assert sha256_file(installer) in done.stderr
    assert not out.exists()
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.suffix for path in kept if path.stat().st_size] == []


def test_untrusted_authority_is_reported(
    server: Server, installer: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    pins = _write_pins(tmp_path / "pins.toml", server.url(_PATH), installer)
    trustme.CA().cert_pem.write_to_path(environment["REQUESTS_CA_BUNDLE"])
    before = len(server.requests)
    done = build_py(
        *("rpm", "--pins", pins, "--arch", "x86_64", "--out", tmp_path / "out"), env=environment
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert "certificate" in done.stderr
    assert len(server.requests) == before


def test_unreachable_host_is_reported_with_an_alternative(
    installer: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """The message appears within seconds; build.py does not use the alternative itself."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # no process listens on the port
        url = f"https://127.0.0.1:{unused.getsockname()[1]}{_PATH}"
        pins = _write_pins(tmp_path / "pins.toml", url, installer)
        start = time.monotonic()
        done = build_py(
            *("rpm", "--pins", pins, "--arch", "x86_64", "--out", tmp_path / "out"),
            env=environment,
        )
    assert time.monotonic() - start < 10
    assert (done.returncode, done.stdout) == (4, "")
    assert "Connection refused" in done.stderr
    assert "make rpm SOURCE=sample" in done.stderr
    assert not (tmp_path / "out").exists()


def test_offline_build_with_an_empty_cache_is_refused(
    server: Server, installer: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    pins = _write_pins(tmp_path / "pins.toml", server.url(_PATH), installer)
    before = len(server.requests)
    done = build_py(
        *("rpm", "--pins", pins, "--offline", "--out", tmp_path / "out"), env=environment
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert "offline" in done.stderr
    assert "make rpm SOURCE=sample" in done.stderr
    assert len(server.requests) == before
    assert not (tmp_path / "out").exists()
