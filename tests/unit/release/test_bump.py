"""Test build.py pins update against a server that answers as GitHub and the download hosts do.

The answers have the keys of the schemas "release", "release-asset" and "basic-error" in
https://github.com/github/rest-api-description, descriptions/api.github.com. PyGithub recorded a
real release: tests/ReplayData/PublicReleaseAsset.setUp.txt.
"""

import base64
import datetime
import difflib
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest.mock import ANY

import pytest
import trustme

from nix_aurora.cli import main
from nix_aurora.errors import FetchError
from nix_aurora.release import pins
from nix_aurora.release.cache import fetch
from nix_aurora.release.network import Patience
from nix_aurora.release.pins import Digest
from nix_aurora.release.releases import find_release
from nix_aurora.release.source import from_pins
from tests.closures import AARCH64, X86_64, elf, make_tarball
from tests.standin import BYSTANDERS, noise
from tests.unit.httpserver import (
    Behavior,
    Handler,
    Server,
    answer,
    content,
    reset,
    running,
    status,
)

TOP = Path(__file__).resolve().parents[3]
REPOSITORY = "/repos/DeterminateSystems/nix-installer/releases"
SOURCES = "/repos/DeterminateSystems/nix-src/contents/.version?ref=v"
MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}
TOKEN = "ghp_0123456789abcdefSECRET"  # noqa: S105 - not a real token
FAST = Patience(connect=20, read=20, retries=2, pause=0.001, longest=1)

Run = Callable[..., tuple[int, str, str]]


# The schema "basic-error".
NOT_FOUND = answer(
    404,
    {
        "message": "Not Found",
        "documentation_url": "https://docs.github.com/rest/releases/releases#get-a-release",
        "status": "404",
    },
)
ADVISORIES = [
    f"/repos/{name}/security-advisories?state=published&sort=published&direction=asc&per_page=100"
    for name in ("NixOS/nix", "DeterminateSystems/nix-src")
]
# The schema "simple-user".
USER = {"login": "github-actions[bot]", "id": 41898282, "type": "Bot", "site_admin": False}


class GitHub:
    """A server with releases of the installer, and of determinate-nixd."""

    def __init__(self, server: Server, tarball: bytes) -> None:
        self.server = server
        self.tarball = tarball
        self.files: dict[str, bytes] = {}  # the files of the last release, by path

    def release(self, version: str, **changes: object) -> dict[str, object]:
        """Put the files of a release on the server, and return the API's answer about it."""
        self.serve_upstream(version, b"2.36.0\n")
        assets = []
        for arch, machine in MACHINES.items():
            seed = noise(1000 + machine + sum(version.encode()))
            self._file(
                f"/determinate-nixd/tag/v{version}/{arch}-linux", elf(machine) + b"nixd" + seed
            )
            body = elf(machine) + seed + b"".join(BYSTANDERS[1:]) + self.tarball + noise(77)
            name = f"nix-installer-{arch}-linux"
            url = self._file(f"/download/v{version}/{name}", body)
            assets.append(self.asset(name, url, body))
        return {
            "url": self.server.url(f"{REPOSITORY}/1"),
            "assets_url": self.server.url(f"{REPOSITORY}/1/assets"),
            "upload_url": self.server.url(f"{REPOSITORY}/1/assets{{?name,label}}"),
            "html_url": self.server.url(f"/releases/tag/v{version}"),
            "id": 1,
            "author": USER,
            "node_id": "RE_kwDON8p8xc4NVOlz",
            "tag_name": f"v{version}",
            "target_commitish": "main",
            "name": f"v{version}",
            "draft": False,
            "immutable": False,
            "prerelease": False,
            "created_at": "2026-11-20T14:37:13Z",
            "updated_at": "2026-11-20T14:43:28Z",
            "published_at": "2026-11-20T14:43:28Z",
            "assets": assets,
            "tarball_url": self.server.url("/tarball"),
            "zipball_url": self.server.url("/zipball"),
            "body": "What has changed",
            **changes,
        }

    def asset(self, name: str, url: str, body: bytes, **changes: object) -> dict[str, object]:
        return {
            "url": self.server.url(f"{REPOSITORY}/assets/2"),
            "id": 2,
            "node_id": "RA_kwDON8p8xc4Pl3AG",
            "name": name,
            "label": "",
            "uploader": USER,
            "content_type": "application/octet-stream",
            "state": "uploaded",
            "size": len(body),
            "digest": f"sha256:{hashlib.sha256(body).hexdigest()}",
            "download_count": 3,
            "created_at": "2026-11-20T14:43:28Z",
            "updated_at": "2026-11-20T14:43:28Z",
            "browser_download_url": url,
            **changes,
        }

    def serve_upstream(self, version: str, text: bytes) -> None:
        """Serve the version of Nix on which a release is based, with the schema "content-file"."""
        body = {
            "type": "file",
            "encoding": "base64",
            "size": len(text),
            "name": ".version",
            "path": ".version",
            "content": base64.encodebytes(text).decode(),
            "sha": "0" * 40,
        }
        self.server.serve(f"{SOURCES}{version}", answer(200, body))

    def publish(self, version: str, **changes: object) -> dict[str, object]:
        """Make a release the newest, and return the API's answer about it."""
        release = self.release(version, **changes)
        self.server.serve(f"{REPOSITORY}/latest", answer(200, release))
        self.server.serve(f"{REPOSITORY}/tags/v{version}", answer(200, release))
        return release

    def _file(self, path: str, body: bytes) -> str:
        self.files[path] = body
        return self.server.serve(path, content(body))

    @property
    def asked(self) -> list[str]:
        """Return the requests for releases, in the order of their arrival."""
        return [path for path in self.server.requests if path.startswith(REPOSITORY)]

    @property
    def downloaded(self) -> list[str]:
        return [path for path in self.server.requests if not path.startswith("/repos/")]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_tarball(tmp_path_factory.mktemp("tarball") / "nix.tar.xz").read_bytes()


@pytest.fixture
def hub(authority: trustme.CA, tarball: bytes) -> Iterator[GitHub]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with running(context) as server:
        server.routes[f"{REPOSITORY}/latest"] = [NOT_FOUND]
        for path in ADVISORIES:
            server.serve(path, answer(200, []))
        yield GitHub(server, tarball)


@pytest.fixture(autouse=True)
def _environment(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1796083200")  # 2026-12-01 00:00 UTC
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a copy of our own pins.toml, changed to 3.22.1 without tarballs."""
    path = tmp_path / "pins.toml"
    text = (TOP / "pins.toml").read_text().partition("\n[tarball")[0] + "\n"
    version = tomllib.loads(text)["release"]["version"]
    path.write_text(text.replace(version, "3.22.1").rstrip("\n") + "\n")
    return path


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Return an advisories.toml without any advisory."""
    path = tmp_path / "advisories.toml"
    path.write_text("# None.\n")
    return path


@pytest.fixture
def run(hub: GitHub, path: Path, known: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs ``pins update``, and returns exit code, stdout and stderr."""

    def update(*words: str) -> tuple[int, str, str]:
        code = main(
            [
                *("pins", "update", "--pins", str(path), "--github", hub.server.url("")),
                *("--nixd", hub.server.url("/determinate-nixd"), "--advisories", str(known)),
                *words,
            ]
        )
        output = capsys.readouterr()
        return code, output.out, output.err

    return update


@pytest.fixture
def refused(run: Run, path: Path) -> Callable[..., str]:
    """Return a function that expects an update to fail with a code and to keep the file."""

    def update(expected: int, *words: str) -> str:
        before = path.read_bytes(), path.stat().st_mtime_ns
        code, out, err = run(*words)
        assert (code, out) == (expected, ""), err
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before
        ours = {"cache", "ca.pem", "home", "advisories.toml", path.name}
        assert {entry.name for entry in path.parent.iterdir()} <= ours
        assert ("Traceback" in err) == ("-v" in words)
        return err

    return update


def current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def lines_without_values(text: str) -> list[str]:
    """Return the parts that an update keeps: comments, keys, empty lines, in their order."""
    return [re.sub(r'= ("[^"]*"|[0-9-]+)', "=", line) for line in text.splitlines()]


# --- pinning another release


def test_newest_release_is_pinned(run: Run, hub: GitHub, path: Path, tarball: bytes) -> None:
    """Only values change, and all sizes and digests are those of the downloaded files."""
    before = path.read_text()
    hub.publish("3.23.0")
    code, out, err = run()
    assert (code, out) == (0, f"{path}\n")
    assert "pins.toml: release 3.23.0, formerly 3.22.1" in err
    found = pins.load(path)
    assert (found.version, found.nix, found.package_release) == ("3.23.0", "2.36.0", 1)
    assert found.date == datetime.date(2026, 12, 1)
    for arch in pins.ARCHES:
        assert found.installer[arch].url.endswith(f"/v3.23.0/nix-installer-{arch}-linux")
        assert found.nixd[arch].url.endswith(f"/tag/v3.23.0/{arch}-linux")
    for artifact in (*found.installer.values(), *found.nixd.values()):
        body = hub.files[artifact.url.removeprefix(hub.server.url(""))]
        assert (artifact.size, artifact.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    digest = Digest(len(tarball), hashlib.sha256(tarball).hexdigest())
    assert found.tarball == {"x86_64": digest, "aarch64": digest}
    assert hub.asked == [f"{REPOSITORY}/latest"]
    assert sorted(hub.downloaded) == sorted(hub.files)

    after = path.read_text()
    assert lines_without_values(after)[: before.count("\n")] == lines_without_values(before)
    assert after.partition("\n[tarball")[0].count("\n") == before.count("\n")
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def test_pinned_files_are_in_the_cache(run: Run, hub: GitHub, path: Path, tmp_path: Path) -> None:
    """The next build downloads nothing again."""
    hub.publish("3.23.0")
    assert run()[0] == 0
    count = len(hub.server.requests)
    words = ("fetch", "--pins", str(path), "--arch", "x86_64", "--arch", "aarch64")
    assert main([*words, "--offline"]) == 0
    assert len(hub.server.requests) == count
    pinned = pins.load(path)
    cache = tmp_path / "cache" / "nix-aurora"
    for arch in pins.ARCHES:
        assert fetch(pinned.nixd[arch], cache, offline=True).exists()
        assert from_pins(pinned, arch, cache, offline=True).tarball.exists()


def test_second_update_finds_nothing_to_do(run: Run, hub: GitHub, path: Path) -> None:
    """The second update asks GitHub, but downloads and changes nothing."""
    hub.publish("3.23.0")
    assert run()[0] == 0
    written, requests = path.stat(), len(hub.server.requests)
    code, out, err = run()
    assert (code, out) == (0, "")
    assert "pins.toml: release 3.23.0 is the newest: nothing to do" in err
    assert path.stat() == written
    assert hub.server.requests[requests:] == [*ADVISORIES, f"{REPOSITORY}/latest"]


def test_second_release_replaces_the_values_of_the_first(run: Run, hub: GitHub, path: Path) -> None:
    """This includes the tables of the tarballs, which the first update added."""
    hub.publish("3.23.0")
    assert run()[0] == 0
    former = path.read_text()
    text = former.replace("release = 1 ", "release = 4 ")
    assert text != former
    path.write_text(text)
    hub.publish("3.100.0")  # numerically greater than 3.23.0
    assert run()[0] == 0
    assert lines_without_values(path.read_text()) == lines_without_values(former)
    assert pins.load(path).package_release == 1


def test_older_release_is_pinned_by_version(run: Run, hub: GitHub, path: Path) -> None:
    hub.publish("3.21.0")
    hub.publish("3.23.0")
    for version in ("3.21.0", "v3.21.0"):
        code, out, _ = run("--version", version)
        assert (code, out) == (0, f"{path}\n" if version[0] == "3" else "")
        assert pins.load(path).version == "3.21.0"
    assert hub.asked == [f"{REPOSITORY}/tags/v3.21.0"] * 2


def test_dry_run_shows_the_change(
    run: Run, refused: Callable[..., str], hub: GitHub, path: Path
) -> None:
    """The real run then makes exactly this change."""
    hub.publish("3.23.0")
    before = path.read_text()
    code, out, _ = run("--dry-run")
    assert code == 0
    assert path.read_text() == before
    assert '\n-version = "3.22.1" # Determinate Nix\n' in out
    assert '\n+version = "3.23.0" # Determinate Nix\n' in out
    assert run()[0] == 0
    expected = difflib.unified_diff(
        before.splitlines(), path.read_text().splitlines(), "pins.toml", "pins.toml", lineterm=""
    )
    assert out.splitlines() == list(expected)


def test_date_is_today(run: Run, hub: GitHub, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    hub.publish("3.23.0")
    before = datetime.datetime.now(datetime.UTC).date()
    assert run()[0] == 0
    assert before <= pins.load(path).date <= datetime.datetime.now(datetime.UTC).date()


# --- upstream's version


def test_unknown_upstream_version_is_left_out(run: Run, hub: GitHub, path: Path) -> None:
    """It is better to omit the version than to pin that of another release."""
    hub.publish("3.23.0")
    hub.server.serve(f"{SOURCES}3.23.0", NOT_FOUND)
    code, _, err = run()
    assert code == 0
    assert "warning: cannot tell on which Nix release 3.23.0 is based" in err
    assert pins.load(path).nix is None
    assert "nix = " not in path.read_text()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"encoding": "none"}, "encoding: expected base64, got 'none'"),
        ({"encoding": "base64", "content": "*"}, "got: "),
        ({"encoding": "base64", "content": "bmV3Cg=="}, "expected a version such as 3.22.1, got"),
        ({"encoding": "base64", "content": "/w=="}, "codec can't decode byte"),
        ([], "encoding: expected str, got None"),
    ],
)
def test_invalid_upstream_version_is_refused(
    refused: Callable[..., str], hub: GitHub, change: object, problem: str
) -> None:
    hub.publish("3.23.0")
    hub.server.serve(f"{SOURCES}3.23.0", answer(200, change))
    message = refused(4)
    assert "expected a file with a version as GitHub documents it, got: " in message
    assert problem in message


# --- the pinned release, by version


def test_pinned_release_gets_its_tarballs(run: Run, hub: GitHub, path: Path) -> None:
    """If --version names the pinned release, it is measured again; release and date are kept."""
    hub.publish("3.22.1")
    # our real pins have other digests than these files
    assert run("--version", "3.22.1") == (5, "", ANY)
    hub.publish("3.22.0")
    assert run("--version", "3.22.0")[0] == 0
    full = path.read_text()
    assert "release = 1 " in full
    text = full.partition("\n[tarball")[0].replace("release = 1 ", "release = 3 ") + "\n"
    path.write_text(text)
    code, out, _ = run("--version", "3.22.0")
    assert (code, out) == (0, f"{path}\n")
    assert path.read_text() == full.replace("release = 1 ", "release = 3 ")
    code, out, err = run("--version", "3.22.0")
    assert (code, out) == (0, "")
    assert "release 3.22.0: pinned as it is: nothing to do" in err


@pytest.mark.parametrize("kind", ["installer", "nixd", "tarball"])
def test_replaced_files_of_a_release_are_refused(
    run: Run, refused: Callable[..., str], hub: GitHub, path: Path, kind: str
) -> None:
    hub.publish("3.22.0")
    assert run("--version", "3.22.0")[0] == 0
    former = pins.load(path)
    pin = getattr(former, kind)["aarch64"]
    other = "0" * 64
    head, table, tail = path.read_text().partition(
        f"\n[{'determinate-nixd' if kind == 'nixd' else kind}.aarch64]"
    )
    path.write_text(head + table + tail.replace(pin.sha256, other, 1))
    message = refused(5, "--version", "3.22.0")
    assert f"release 3.22.0: {kind} for aarch64: expected the pinned {pin.size} bytes" in message
    assert f"SHA-256 {other}, got {pin.size} with {pin.sha256}" in message


# --- releases that are not pinned


def test_older_release_is_not_pinned_by_default(refused: Callable[..., str], hub: GitHub) -> None:
    hub.publish("3.9.0")  # numerically less than 3.22.1
    message = refused(3)
    assert "release.version: expected at most the newest, 3.9.0, got 3.22.1" in message
    assert "hint: build.py pins update --version 3.9.0" in message
    assert hub.downloaded == []


def test_unknown_version_is_reported_with_the_newest(
    refused: Callable[..., str], hub: GitHub
) -> None:
    hub.publish("3.23.0")
    hub.server.serve(f"{REPOSITORY}/tags/v9.9.9", NOT_FOUND)
    message = refused(4, "--version", "9.9.9")
    assert "DeterminateSystems/nix-installer: expected a release 9.9.9, got none" in message
    assert "hint: the newest is 3.23.0" in message


def test_project_without_releases_is_reported(refused: Callable[..., str], hub: GitHub) -> None:
    assert "expected a release, got none" in refused(4)
    hub.server.serve(f"{REPOSITORY}/tags/v9.9.9", NOT_FOUND)
    assert "expected a release 9.9.9, got none" in refused(4, "--version", "9.9.9")


@pytest.mark.parametrize("way", ["missing", "open", "none"])
def test_missing_asset_is_reported(refused: Callable[..., str], hub: GitHub, way: str) -> None:
    """A release is published before all its files are uploaded."""
    release = hub.publish("3.23.0")
    assets = release["assets"]
    assert isinstance(assets, list)
    if way == "missing":
        del assets[1]
    elif way == "open":
        assets[1]["state"] = "open"
    else:
        assets.clear()
    there = "none" if way == "none" else "nix-installer-x86_64-linux"
    message = refused(4)
    assert f"assets: expected nix-installer-{'x86_64' if way == 'none' else 'aarch64'}" in message
    assert f"-linux, got {there}\n" in message
    assert "try again later" in message


@pytest.mark.parametrize("what", ["digest", "size"])
def test_bytes_other_than_announced_are_refused(
    refused: Callable[..., str], hub: GitHub, what: str
) -> None:
    release = hub.publish("3.23.0")
    assets = release["assets"]
    assert isinstance(assets, list)
    body = hub.files["/download/v3.23.0/nix-installer-aarch64-linux"]
    digest = hashlib.sha256(body).hexdigest()
    assets[1][what] = {"digest": "sha256:" + "0" * 64, "size": 5}[what]
    message = refused(5)
    expected = {
        "digest": f"expected {len(body)} bytes with SHA-256 {'0' * 64}, got {len(body)} with",
        "size": f"expected 5 bytes with SHA-256 {digest}, got {len(body)} with {digest}",
    }
    assert "cannot confirm with GitHub's API: " in message
    assert expected[what] in message


def test_asset_without_digest_is_trusted_with_a_note(run: Run, hub: GitHub, path: Path) -> None:
    """GitHub has computed digests since June 2025; for older assets only the size is known."""
    release = hub.publish("3.23.0")
    assets = release["assets"]
    assert isinstance(assets, list)
    assets[0]["digest"] = None
    code, _, err = run()
    assert code == 0
    assert "nix-installer-x86_64-linux: GitHub publishes no digest for it; trusted as" in err
    assert "aarch64-linux: GitHub publishes" not in err
    assert pins.load(path).version == "3.23.0"


def page(hub: GitHub) -> bytes:
    return b"<html>an error with status 200</html>"


def foreign(hub: GitHub) -> bytes:
    return elf(X86_64) + b"for another machine"


def big_endian(hub: GitHub) -> bytes:
    return elf(AARCH64).replace(b"\x7fELF\2\1", b"\x7fELF\2\2")


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (page, "another file"),
        (foreign, "x86_64"),
        (big_endian, "another: expected a little-endian"),
    ],
)
def test_nixd_that_is_not_a_program_is_refused(
    refused: Callable[..., str], hub: GitHub, body: Callable[[GitHub], bytes], got: str
) -> None:
    """Only TLS protects this download, so at least the format is checked."""
    hub.publish("3.23.0")
    hub.server.serve("/determinate-nixd/tag/v3.23.0/aarch64-linux", content(body(hub)))
    message = refused(5)
    assert "/v3.23.0/aarch64-linux: expected an executable for aarch64, got " + got in message


def test_installer_without_tarball_is_refused(refused: Callable[..., str], hub: GitHub) -> None:
    hub.tarball = b"no tarball"
    hub.publish("3.23.0")
    assert "expected a Nix tarball (tar.xz), got none" in refused(5)


def chunked(body: bytes) -> Behavior:
    """Send ``body`` in two chunks: RFC 9112, section 7.1."""

    def behave(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in (body[:9], body[9:], b""):
            handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")

    return behave


def test_nixd_without_an_announced_size_is_refused(run: Run, hub: GitHub, path: Path) -> None:
    """No digest is known, so nobody could detect a truncated file."""
    hub.publish("3.23.0")
    before = path.read_text()
    place = "/determinate-nixd/tag/v3.23.0/x86_64-linux"
    hub.server.serve(place, content(hub.files[place], announce=None))
    code, out, err = run()
    assert (code, out) == (4, "")
    assert f"{place}: expected a server that announces the size" in err
    assert path.read_text() == before
    hub.server.serve(place, chunked(hub.files[place]))
    assert run()[0] == 0
    assert pins.load(path).nixd["x86_64"].size == len(hub.files[place])


def test_missing_nixd_is_reported(refused: Callable[..., str], hub: GitHub) -> None:
    hub.publish("3.23.0")
    hub.server.serve("/determinate-nixd/tag/v3.23.0/x86_64-linux", status(404))
    assert "expected HTTP status 200, got 404" in refused(4)


# --- requests to GitHub


@pytest.mark.parametrize("token", [TOKEN, f"{TOKEN}\n"])
def test_token_is_sent_only_to_the_api(
    run: Run, hub: GitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, token: str
) -> None:
    """No message contains the token."""
    (tmp_path / "home").mkdir()
    netrc = tmp_path / "home" / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("GITHUB_TOKEN", token)
    hub.publish("3.23.0")
    netrc.chmod(0o600)
    code, out, err = run("-v")
    assert code == 0
    assert TOKEN not in out + err
    for path, headers in zip(hub.server.requests, hub.server.headers, strict=True):
        if path.startswith("/repos/"):
            assert headers["Authorization"] == f"Bearer {TOKEN}"
            assert headers["Accept"] == "application/vnd.github+json"
            assert headers["X-GitHub-Api-Version"] == "2026-03-10"
        else:
            assert TOKEN not in str(headers)


def test_no_credentials_are_sent_without_a_token(run: Run, hub: GitHub, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    hub.publish("3.22.1")
    assert run()[0] == 0
    assert {headers.get("Authorization") for headers in hub.server.headers} == {None}


@pytest.mark.parametrize("token", [f"{TOKEN}\n{TOKEN}", f"{TOKEN} x", f"{TOKEN}\u00e9"])
def test_invalid_token_is_refused_before_any_request(
    refused: Callable[..., str], hub: GitHub, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", token)
    message = refused(2)
    assert "GITHUB_TOKEN: expected a token" in message
    assert TOKEN not in message
    assert hub.asked == []


def test_rejected_token_is_reported(
    refused: Callable[..., str], hub: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """See https://docs.github.com/rest/authentication/authenticating-to-the-rest-api."""
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    body = {"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"}
    hub.server.serve(f"{REPOSITORY}/latest", answer(401, body))
    message = refused(4, "-v")
    assert "expected HTTP status 200, got 401 Unauthorized (Bad credentials)" in message
    assert "hint: GITHUB_TOKEN is not valid" in message
    assert TOKEN not in message


# https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
LIMIT = "API rate limit exceeded for 192.0.2.1."
SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try."


@pytest.mark.parametrize("code", [403, 429])
@pytest.mark.parametrize("token", ["", TOKEN])
@pytest.mark.parametrize(
    ("headers", "said", "hint"),
    [
        (
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1796086923"},
            LIMIT,
            "try again after 2026-12-01 01:02:03 UTC",
        ),
        ({"retry_after": "60", "x_ratelimit_remaining": "0"}, SECONDARY, "try again in 60 s"),
        ({"x_ratelimit_remaining": "7", "x_ratelimit_reset": "1"}, SECONDARY, "in a minute"),
        ({"retry_after": "soon"}, SECONDARY, "in a minute"),
    ],
)
def test_rate_limit_ends_the_run_and_names_the_time_to_retry(
    *,
    refused: Callable[..., str],
    hub: GitHub,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    token: str,
    headers: Mapping[str, str],
    said: str,
    hint: str,
) -> None:
    """The hint suggests a token, which allows more requests, if there is none."""
    monkeypatch.setenv("GITHUB_TOKEN", token)
    body = {"message": said, "documentation_url": "https://docs.github.com/rest"}
    hub.server.serve(f"{REPOSITORY}/latest", answer(code, body, **headers))
    message = refused(4)
    assert f"got {code} " in message
    assert f"({said})" in message
    assert hint in message
    assert ("set GITHUB_TOKEN" in message) == (not token)
    assert hub.asked == [f"{REPOSITORY}/latest"]


def test_moved_project_is_not_followed(refused: Callable[..., str], hub: GitHub) -> None:
    """Anybody may own the new project, so a person has to check."""
    body = {"message": "Moved Permanently", "url": "https://api.github.com/repositories/1"}
    elsewhere = hub.server.serve("/repositories/1", answer(200, hub.release("3.23.0")))
    hub.server.serve(f"{REPOSITORY}/latest", answer(301, body, Location=elsewhere))
    message = refused(4)
    assert "got 301 Moved Permanently" in message
    assert "where the project has moved" in message
    assert hub.server.requests == [*ADVISORIES, f"{REPOSITORY}/latest"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (b"{", "Expecting"),
        (b"\xff", "codec can't decode byte"),
        (b"[" * 100_000, "maximum recursion depth"),
        ([], "tag_name: expected str, got None"),
        ({"assets": []}, "tag_name: expected str, got None"),
        ({"tag_name": 3, "assets": []}, "tag_name: expected str, got 3"),
        ({"tag_name": "nightly", "assets": []}, "expected a version such as 3.22.1, got 'nightly'"),
        ({"tag_name": "v3.23.0"}, "assets: expected list, got None"),
        ({"tag_name": "v3.23.0", "assets": [1]}, "state: expected str, got None"),
    ],
)
def test_invalid_answer_is_refused(
    refused: Callable[..., str], hub: GitHub, change: object, problem: str
) -> None:
    hub.server.serve(f"{REPOSITORY}/latest", answer(200, change))
    message = refused(4)
    assert "expected a release as GitHub documents it, got: " in message
    assert problem in message


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("name", None, "name: expected str, got None"),
        ("size", "5", "size: expected int, got '5'"),
        ("size", True, "size: expected int, got True"),
        ("digest", 5, "digest: expected str, got 5"),
        ("digest", "sha512:00", "digest: expected sha256:HEX, got 'sha512:00'"),
        ("digest", "sha256:00", "expected 64 hex digits in lower case, got '00'"),
        ("browser_download_url", "http://x/y", "expected an https URL, got 'http://x/y'"),
    ],
)
def test_invalid_asset_is_refused(
    refused: Callable[..., str], hub: GitHub, key: str, value: object, problem: str
) -> None:
    release = hub.publish("3.23.0")
    assets = release["assets"]
    assert isinstance(assets, list)
    assets[0][key] = value
    assert problem in refused(4)


def test_answer_for_another_version_is_refused(refused: Callable[..., str], hub: GitHub) -> None:
    release = hub.publish("3.23.0")
    hub.server.serve(f"{REPOSITORY}/tags/v3.21.0", answer(200, release))
    message = refused(4, "--version", "3.21.0")
    assert "tag_name: expected v3.21.0, got v3.23.0" in message


def find(hub: GitHub) -> str:
    release = find_release(
        "DeterminateSystems/nix-installer", None, hub.server.url(""), patience=FAST
    )
    assert release
    return release.version


@pytest.mark.parametrize("fault", [status(502), status(503), reset()])
def test_temporary_fault_is_retried(hub: GitHub, fault: Behavior) -> None:
    release = hub.release("3.23.0")
    hub.server.serve(f"{REPOSITORY}/latest", fault, fault, answer(200, release))
    assert find(hub) == "3.23.0"


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (status(500), "expected HTTP status 200, got 500 Internal Server Error"),
        (reset(), "expected an answer, got: "),
        (reset(b'{"tag', announce=500), "expected an answer, got: "),
    ],
)
def test_permanent_fault_is_reported(hub: GitHub, fault: Behavior, problem: str) -> None:
    hub.server.serve(f"{REPOSITORY}/latest", fault)
    with pytest.raises(FetchError) as caught:
        find(hub)
    assert problem in caught.value.message
    assert caught.value.hint


def test_missing_network_is_reported(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = path.read_text()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens on the port
        url = f"https://127.0.0.1:{unused.getsockname()[1]}"
        assert main(["pins", "update", "--pins", str(path), "--github", url]) == 4
    message = capsys.readouterr().err
    assert f"cannot ask GitHub: {url}{ADVISORIES[0]}: expected an answer, got: " in message
    assert "Connection refused" in message
    assert path.read_text() == before


def test_untrusted_certificate_is_reported(
    refused: Callable[..., str], hub: GitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    hub.publish("3.23.0")
    assert "certificate verify failed" in refused(4)
    assert hub.asked == []


# --- the command line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "--version", "3.23.0"], "--version: expected pins update, got pins show"),
        (["--dry-run"], "--dry-run: expected pins update, got pins show"),
        (["update", "--json"], "--json: expected pins show, got pins update"),
        (["update", "--offline"], "--offline: expected pins advisories or pins show, got"),
        (["update", "--version", "newest"], "expected a version such as 3.22.1, got 'newest'"),
        (["update", "--github", "http://x"], "expected an https URL"),
        (["update", "--nixd", "https://user:secret@x"], "expected a URL without credentials"),
    ],
)
def test_wrong_usage_is_refused(
    words: list[str], message: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pins", *words, "--pins", str(path)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err
    assert "secret" not in output.err


def test_invalid_date_is_refused(
    refused: Callable[..., str], hub: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("yesterday", "1" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
        assert f"SOURCE_DATE_EPOCH: expected seconds, got '{text}'" in refused(2)
    assert hub.asked == []


def test_show_lists_tarballs(
    run: Run, hub: GitHub, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.publish("3.23.0")
    assert run()[0] == 0
    assert main(["pins", "show", "--pins", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "release 3.23.0"
    pinned = pins.load(path)
    digest = pinned.tarball["aarch64"]
    assert f"tarball aarch64 {digest.size} {digest.sha256}" in lines
    assert len(lines) == 7
    assert main(["pins", "show", "--json", "--pins", str(path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["package"] == {"date": "2026-12-01", "release": 1}
    assert shown["tarball"]["aarch64"] == {"sha256": digest.sha256, "size": digest.size}
    assert shown["nixd"]["x86_64"]["url"] == pinned.nixd["x86_64"].url
