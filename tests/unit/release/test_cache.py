import errno
import hashlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
import trustme

from nix_aurora import log
from nix_aurora.errors import FetchError
from nix_aurora.release.cache import default_cache, fetch
from nix_aurora.release.network import Patience
from nix_aurora.release.pins import Artifact
from tests.unit.httpserver import (
    Behavior,
    Handler,
    Server,
    content,
    encoded,
    gated,
    reset,
    running,
    stall,
    status,
)

BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
FAST = Patience(connect=20, read=20, retries=2, pause=0.001, longest=5)
HASTY = replace(FAST, read=0.2)  # for servers that stall


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(autouse=True)
def _environment(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "aurora.invalid").configure_cert(context)
    with running(context) as server:
        yield server


def artifact(url: str, size: int | None = len(BODY), sha256: str = SHA256) -> Artifact:
    return Artifact(url, size, sha256)


def left(cache: Path) -> list[str]:
    """Return the names that a fetch left in the cache, except lock files."""
    return sorted(
        path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


def refused(
    artifact: Artifact, cache: Path, *, patience: Patience = FAST, offline: bool = False
) -> FetchError:
    """Return the error of a fetch that has to fail and to leave nothing."""
    with pytest.raises(FetchError) as caught:
        fetch(artifact, cache, patience=patience, offline=offline)
    assert caught.value.exit_code == 4
    assert caught.value.message.startswith(f"cannot download {artifact.url}: ")
    assert left(cache) == []
    return caught.value


def test_file_is_fetched_only_once(server: Server, tmp_path: Path) -> None:
    url = server.serve("/dir/nix-installer", content(BODY))
    path = fetch(artifact(url), tmp_path, patience=FAST)
    assert path == tmp_path / "downloads" / f"{SHA256}-nix-installer"
    assert path.read_bytes() == BODY
    assert fetch(artifact(url), tmp_path, patience=FAST) == path
    assert fetch(artifact(url), tmp_path, offline=True) == path
    assert server.requests == ["/dir/nix-installer"]
    assert left(tmp_path) == [path.name]


def test_size_may_be_unknown(server: Server, tmp_path: Path) -> None:
    url = server.serve("/file", content(BODY, announce=None))
    assert fetch(artifact(url, None), tmp_path, patience=FAST).read_bytes() == BODY


def test_cache_name_has_no_foreign_characters(server: Server, tmp_path: Path) -> None:
    for path, name in (("/a/..%2Fb%00c?x=y", ".._2Fb_00c"), ("/", "download")):
        url = server.serve(path, content(BODY))
        assert fetch(artifact(url), tmp_path, patience=FAST).name == f"{SHA256}-{name}"


def test_compression_is_neither_requested_nor_undone(server: Server, tmp_path: Path) -> None:
    url = server.serve("/file", encoded(BODY))
    assert fetch(artifact(url), tmp_path, patience=FAST).read_bytes() == BODY
    assert server.headers[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("same_size", [True, False])
def test_damaged_cache_is_fetched_again(server: Server, tmp_path: Path, same_size: bool) -> None:
    url = server.serve("/file", content(BODY))
    path = fetch(artifact(url), tmp_path, patience=FAST)
    path.write_bytes(BODY[::-1] if same_size else BODY[:-1])
    assert fetch(artifact(url), tmp_path, patience=FAST).read_bytes() == BODY
    assert len(server.requests) == 2


def test_offline_uses_only_the_cache(server: Server, tmp_path: Path) -> None:
    error = refused(artifact(server.serve("/file", content(BODY))), tmp_path, offline=True)
    assert "got nothing" in error.message
    assert "SOURCE=sample" in str(error.hint)
    assert server.requests == []


def test_offline_refuses_a_damaged_file(server: Server, tmp_path: Path) -> None:
    url = server.serve("/file", content(BODY))
    fetch(artifact(url), tmp_path, patience=FAST).write_bytes(BODY[::-1])
    with pytest.raises(FetchError, match="offline"):
        fetch(artifact(url), tmp_path, offline=True)


def test_filled_cache_may_be_read_only(server: Server, tmp_path: Path) -> None:
    url = server.serve("/file", content(BODY))
    path = fetch(artifact(url), tmp_path, patience=FAST)
    for lock in path.parent.glob(".*"):
        lock.unlink()
    fetch(artifact(url), tmp_path, patience=FAST)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "trouble",
    [
        content(BODY[:-5], announce=len(BODY)),
        content(BODY[:-5], announce=None),
        content(b"", announce=len(BODY)),
        reset(),
        reset(BODY[:70000], announce=len(BODY)),
        status(429),
        status(500),
        status(502),
        status(503, retry_after="0"),
        status(503, retry_after=formatdate(0, usegmt=True)),
        status(504, retry_after="soon"),
    ],
)
def test_temporary_failure_is_retried(
    server: Server, tmp_path: Path, trouble: Behavior, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure(log.Level.NORMAL)
    url = server.serve("/file", trouble, trouble, content(BODY))
    assert fetch(artifact(url), tmp_path, patience=FAST).read_bytes() == BODY
    assert len(server.requests) == 3
    assert "trying again" in capsys.readouterr().err


@pytest.mark.parametrize("trouble", [stall(), stall(BODY[:70000], announce=len(BODY))])
def test_stalled_download_is_retried(server: Server, tmp_path: Path, trouble: Behavior) -> None:
    url = server.serve("/file", trouble, content(BODY))
    assert fetch(artifact(url), tmp_path, patience=HASTY).read_bytes() == BODY
    assert len(server.requests) == 2


@pytest.mark.parametrize("trouble", [content(BODY[:-5], announce=len(BODY)), reset(), status(503)])
def test_retries_are_limited(server: Server, tmp_path: Path, trouble: Behavior) -> None:
    error = refused(artifact(server.serve("/file", trouble)), tmp_path)
    assert "gave up after 3 attempts: " in error.message
    assert len(server.requests) == 3


def test_only_the_digest_detects_truncation_of_unknown_size(server: Server, tmp_path: Path) -> None:
    url = server.serve("/file", content(BODY[:-5], announce=len(BODY)))
    refused(artifact(url, None), tmp_path)
    assert len(server.requests) == 3


def test_retry_leaves_nothing_of_a_longer_attempt(server: Server, tmp_path: Path) -> None:
    longer = content(BODY + BODY, announce=3 * len(BODY))
    url = server.serve("/file", longer, content(BODY))
    assert fetch(artifact(url, None), tmp_path, patience=FAST).read_bytes() == BODY


def test_pause_grows_and_has_jitter(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    url = server.serve("/file", status(500))
    refused(artifact(url), tmp_path, patience=Patience(retries=4, pause=1, longest=6))
    assert len(pauses) == 4
    for pause, least in zip(pauses, (1, 2, 4, 6), strict=True):
        assert least <= pause <= min(least * 1.25, 6)


def test_retry_after_is_honored(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    url = server.serve("/file", status(429, retry_after="3"), content(BODY))
    fetch(artifact(url), tmp_path, patience=FAST)
    assert pauses == [3]


@pytest.mark.parametrize("when", ["3600", formatdate(2**32, usegmt=True)])
def test_long_retry_after_is_refused(server: Server, tmp_path: Path, when: str) -> None:
    error = refused(artifact(server.serve("/file", status(503, retry_after=when))), tmp_path)
    assert "asks to wait" in error.message
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 204, 206, 304, 501])
def test_other_statuses_are_final(server: Server, tmp_path: Path, code: int) -> None:
    error = refused(artifact(server.serve("/file", status(code))), tmp_path)
    assert f"expected HTTP status 200, got {code} " in error.message
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("behavior", "message"),
    [
        (
            content(BODY + b"x"),
            f"expected {len(BODY)} bytes, got an answer that announces {len(BODY) + 1}",
        ),
        (content(BODY[:-1]), f"got an answer that announces {len(BODY) - 1}"),
        (content(BODY, announce=len(BODY) - 9), f"got an answer that announces {len(BODY) - 9}"),
        (content(BODY + b"x", announce=None), f"expected {len(BODY)} bytes, got more"),
        (content(BODY[::-1]), f"expected SHA-256 {SHA256}, got "),
    ],
)
def test_wrong_bytes_are_final(
    server: Server, tmp_path: Path, behavior: Behavior, message: str
) -> None:
    error = refused(artifact(server.serve("/file", behavior)), tmp_path)
    assert message in error.message
    assert len(server.requests) == 1


def test_excess_bytes_end_the_download(server: Server, tmp_path: Path) -> None:
    """The server never stops, so this test ends only if the client stops at once."""

    def endless(handler: Handler) -> None:
        while True:  # a client that hangs up causes an exception here
            content(BODY, announce=None)(handler)

    error = refused(artifact(server.serve("/file", endless)), tmp_path)
    assert "got more" in error.message


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    other = server.serve("/deep/file", content(BODY))
    for number, location in enumerate((other, "/deep/file", "deep/file")):
        url = server.serve(f"/from{number}", status(302, location=location))
        path = fetch(artifact(url), tmp_path / str(number), patience=FAST)
        assert path.name == f"{SHA256}-from{number}"


def test_redirect_to_http_is_refused(server: Server, tmp_path: Path) -> None:
    with running() as plain:
        target = plain.serve("/file", content(BODY))
        url = server.serve("/file", status(302, location=target))
        error = refused(artifact(url), tmp_path)
        assert f"expected an https URL, got '{target}'" in error.message
        assert plain.requests == []


def test_redirect_loop_ends(server: Server, tmp_path: Path) -> None:
    url = server.serve("/file", status(301, location="/file"))
    assert "expected at most 10 redirects" in refused(artifact(url), tmp_path).message


def test_retry_starts_again_at_the_pinned_url(server: Server, tmp_path: Path) -> None:
    """The target of a redirect may be valid for a short time only."""
    url = server.serve("/file", status(302, location="/a"), status(302, location="/b"))
    server.serve("/a", status(503))
    server.serve("/b", content(BODY))
    fetch(artifact(url), tmp_path, patience=FAST)
    assert server.requests == ["/file", "/a", "/file", "/b"]


def test_untrusted_certificate_is_reported(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    error = refused(artifact(server.serve("/file", content(BODY))), tmp_path / "cache")
    assert "expected a certificate that is trusted" in error.message
    assert "REQUESTS_CA_BUNDLE" in str(error.hint)
    assert server.requests == []


def test_certificate_of_another_host_is_reported(server: Server, tmp_path: Path) -> None:
    server.serve("/file", content(BODY))
    error = refused(artifact(server.url("/file", host="localhost")), tmp_path)
    assert "expected a certificate that is trusted" in error.message


def test_missing_bundle_is_reported(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    error = refused(artifact(server.serve("/file", content(BODY))), tmp_path)
    assert "missing.pem" in error.message


def test_server_without_tls_is_reported(tmp_path: Path) -> None:
    with running() as plain:
        url = plain.serve("/file", content(BODY)).replace("http:", "https:")
        assert "expected a connection to 127.0.0.1" in refused(artifact(url), tmp_path).message


def _no_sleep(_seconds: float) -> None:
    pytest.fail("a retry")


def test_refused_connection_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", _no_sleep)
    with socket.socket() as bound:  # nobody listens on this port
        bound.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{bound.getsockname()[1]}/file"
        error = refused(artifact(url), tmp_path)
    assert "Connection refused" in error.message
    assert "SOURCE=sample" in str(error.hint)


def test_unknown_name_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", _no_sleep)

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)  # a real resolver takes long
    error = refused(artifact("https://aurora.invalid/file"), tmp_path)
    assert "expected a name that resolves, got: Temporary failure" in error.message
    assert "--source FILE" in str(error.hint)


def test_connect_timeout_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", _no_sleep)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for client in (first, second):  # fill the queue, so that the kernel answers nobody
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        url = f"https://127.0.0.1:{full.getsockname()[1]}/file"
        error = refused(artifact(url), tmp_path, patience=replace(FAST, connect=0.2, read=0.2))
    assert "got no answer in time" in error.message


def test_proxy_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.serve("/file", content(BODY))
    with running() as proxy:
        proxy.tunnel_target = ("127.0.0.1", server.server_port)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url(""))
        url = server.url("/file", host="aurora.invalid")
        assert fetch(artifact(url), tmp_path, patience=FAST).read_bytes() == BODY
        assert proxy.tunnels == [f"aurora.invalid:{server.server_port}"]


def test_proxy_that_resets_is_reported(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url(""))
        error = refused(artifact(server.url("/file")), tmp_path)
        assert "gave up after 3 attempts: the connection failed: " in error.message
        assert "reset by peer" in error.message
        assert len(proxy.tunnels) == 3


def test_no_proxy_is_respected(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    fetch(artifact(server.serve("/file", content(BODY))), tmp_path, patience=FAST)


@contextmanager
def _interrupting(_title: str, _total: int | None) -> Iterator[Callable[[int], None]]:
    def interrupt(_done: int) -> None:
        raise KeyboardInterrupt

    yield interrupt


def test_interrupt_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.serve("/file", content(BODY))
    with monkeypatch.context() as patch:
        patch.setattr(log, "progress", _interrupting)
        with pytest.raises(KeyboardInterrupt):
            fetch(artifact(url), tmp_path, patience=FAST)
    assert left(tmp_path) == []
    assert fetch(artifact(url), tmp_path, patience=FAST).read_bytes() == BODY


def test_two_builds_download_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, waiting = threading.Event(), threading.Event()
    url = server.serve("/file", gated(gate, content(BODY)))
    results: list[Path] = []

    def told(message: str) -> None:
        if message.startswith("waiting for another build"):
            waiting.set()

    monkeypatch.setattr(log, "info", told)

    def build() -> None:
        results.append(fetch(artifact(url), tmp_path, patience=FAST))

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert server.arrived.wait(60)
    assert waiting.wait(60)
    gate.set()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert len(set(results)) == 1
    assert server.requests == ["/file"]


def test_waiting_build_retries_when_the_first_fails(server: Server, tmp_path: Path) -> None:
    gate = threading.Event()
    url = server.serve("/file", gated(gate, status(404)), content(BODY))

    def fail() -> None:
        with pytest.raises(FetchError, match="got 404"):
            fetch(artifact(url), tmp_path, patience=FAST)

    first = threading.Thread(target=fail)
    first.start()
    assert server.arrived.wait(60)
    second = threading.Thread(target=fetch, args=(artifact(url), tmp_path))
    second.start()
    gate.set()
    first.join()
    second.join()
    assert left(tmp_path) == [f"{SHA256}-file"]


def test_stale_parts_are_removed(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    old, young, lock = (folder / f".{SHA256}.{name}" for name in ("a.part", "b.part", "lock"))
    for path in (old, young, lock):
        path.touch()
    for path in (old, lock):
        os.utime(path, (0, time.time() - 25 * 3600))
    fetch(artifact(server.serve("/file", content(BODY))), tmp_path, patience=FAST)
    assert not old.exists()
    assert young.exists()
    assert lock.exists()


def test_unwritable_cache_is_reported(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()  # root may write everywhere, but not below a file
    with pytest.raises(FetchError, match=r"cannot keep a download: .*cache") as caught:
        fetch(artifact(server.url("/file")), tmp_path / "cache", patience=FAST)
    assert "XDG_CACHE_HOME" in str(caught.value.hint)


def test_full_disk_is_not_reported_as_a_network_fault(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FetchError, match=r"cannot keep a download: .*: No space left on device"):
        fetch(artifact(server.serve("/file", content(BODY))), tmp_path, patience=FAST)
    assert len(server.requests) == 1
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/x/cache", "/x/cache/nix-aurora"),
        ("", "/h/.cache/nix-aurora"),
        ("relative", "/h/.cache/nix-aurora"),
    ],
)
def test_default_cache_follows_xdg(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: str
) -> None:
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert default_cache() == Path(expected)
