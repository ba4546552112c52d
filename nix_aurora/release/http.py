"""One download over HTTPS: redirects, time-outs, retries, and the check against the pin."""

import datetime
import email.utils
import hashlib
import http.client
import random
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
import urllib3  # requests' own transport: a body's raw bytes come with its exceptions

from nix_aurora import log
from nix_aurora.errors import FetchError
from nix_aurora.release.pins import Artifact, Digest, check_url

WITHOUT_NETWORK = (
    "without network: make rpm SOURCE=sample builds from Debian's packages, "
    "--source FILE from an installer or tarball at hand"
)

_CHUNK = 1 << 16
_REDIRECTS = 10
_TRANSIENT_STATUS = {429, 500, 502, 503, 504}
_TRANSIENT_ERRORS = (
    ConnectionResetError,  # http.client.RemoteDisconnected is one
    ConnectionAbortedError,
    BrokenPipeError,
    ssl.SSLEOFError,
    http.client.IncompleteRead,
    requests.ReadTimeout,
    urllib3.exceptions.ReadTimeoutError,
)


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds, and how often to try again."""

    connect: float = 10
    read: float = 30
    retries: int = 4
    pause: float = 1  # before the first retry; doubled for each further one
    longest: float = 60  # pause, a server's Retry-After included


PATIENCE = Patience()


class _TransientError(Exception):
    """An attempt failed in a way that may pass. ``after``: seconds that the server asks for."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def fault(url: str, problem: str, hint: str | None = None) -> FetchError:
    """Make the error for a URL."""
    return FetchError(f"downloading: {url}: {problem}", hint=hint)


def download(artifact: Artifact, file: BinaryIO, patience: Patience = PATIENCE) -> None:
    """Write the artifact to ``file``, whose content is verified unless this raises FetchError.

    Proxies and certificates are what requests takes from the environment (HTTPS_PROXY,
    NO_PROXY, REQUESTS_CA_BUNDLE). OSError comes from ``file`` only.
    """
    found = _download(artifact.url, artifact.size, file, patience, pinned=True)
    if found.sha256 != artifact.sha256:
        problem = f"expected SHA-256 {artifact.sha256}, got {found.sha256}"
        raise fault(artifact.url, problem, "the file was replaced, or changed on its way here")


def download_unpinned(url: str, file: BinaryIO, patience: Patience = PATIENCE) -> Digest:
    """Write what ``url`` gives to ``file``, and give what it is: nothing vouches for it yet.

    Otherwise as ``download``.
    """
    return _download(url, None, file, patience, pinned=False)


def _download(
    url: str, size: int | None, file: BinaryIO, patience: Patience, *, pinned: bool
) -> Digest:
    """Write all that ``url`` gives to ``file``, and give what that is; of ``size``, if not None."""
    log.info(f"downloading {url}")
    with requests.Session() as session:
        # The bytes that are pinned, not ones compressed for the way.
        session.headers.update({"Accept-Encoding": "identity", "User-Agent": "nix-aurora"})
        attempt = 0
        while True:
            try:
                return _attempt(session, url, size, file, patience, pinned=pinned)
            except _TransientError as error:
                if attempt == patience.retries:
                    problem = f"gave up after {attempt + 1} attempts: {error}"
                    raise fault(url, problem, WITHOUT_NETWORK) from error
                pause = error.after
                if pause is None:
                    jitter = random.uniform(1, 1.25)  # noqa: S311 - no secret
                    pause = min(patience.pause * 2**attempt * jitter, patience.longest)
                elif pause > patience.longest:
                    problem = f"{error}, and is told to wait {pause:.0f} s"
                    raise fault(url, problem, "try again later") from error
                log.warn(f"downloading: {url}: {error}; trying again in {pause:.1f} s")
                time.sleep(pause)
                attempt += 1


def _attempt(
    session: requests.Session,
    url: str,
    expected: int | None,
    file: BinaryIO,
    patience: Patience,
    *,
    pinned: bool,
) -> Digest:
    file.seek(0)
    file.truncate()
    digest = hashlib.sha256()
    size = 0
    with _get(session, url, patience) as response:
        announced = _announced(response)
        if expected is not None and announced not in {None, expected}:
            raise fault(url, f"expected {expected} bytes, got an answer that announces {announced}")
        if not pinned and announced is None and not response.raw.chunked:
            # Then a body that is cut off ends as a whole one does, and no digest would tell.
            raise fault(url, "expected a server that announces the size, got one that does not")
        title = urlsplit(url).path.rpartition("/")[2]
        with log.progress(title, expected or announced) as progress:
            for chunk in _body(response, url):
                size += len(chunk)
                if expected is not None and size > expected:
                    raise fault(url, f"expected {expected} bytes, got more")
                digest.update(chunk)
                file.write(chunk)
                progress(len(chunk))
    # urllib3 2 checks it too, but a connection cut within TLS may look like a body's proper end.
    least = expected if announced is None else announced
    if least is not None and size < least:
        raise _TransientError(f"expected {least} bytes, got {size}")
    return Digest(size, digest.hexdigest())


def _get(session: requests.Session, url: str, patience: Patience) -> requests.Response:
    """Request ``url``, follow redirects, and give a response with status 200."""
    target = url
    for _ in range(_REDIRECTS + 1):
        log.detail(f"GET https://{urlsplit(target).netloc}{urlsplit(target).path}")
        try:
            response = session.get(
                target,
                stream=True,
                timeout=(patience.connect, patience.read),
                allow_redirects=False,  # requests would follow one to http
            )
        except OSError as error:  # RequestException is one; so is a missing REQUESTS_CA_BUNDLE
            raise _network_fault(url, error) from error
        location = session.get_redirect_target(response)
        if location is None:
            _check_status(response, url)
            return response
        response.close()
        try:
            target = check_url(urljoin(target, location))
        except ValueError as error:
            raise fault(
                url, f"expected a redirect to a place that may be used, got: {error}"
            ) from error
    raise fault(url, f"expected at most {_REDIRECTS} redirects, got more")


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status == http.client.OK:
        return
    response.close()
    problem = f"expected HTTP status 200, got {status} {response.reason}"
    if status in _TRANSIENT_STATUS:
        raise _TransientError(problem, _retry_after(response.headers.get("Retry-After", "")))
    raise fault(url, problem, WITHOUT_NETWORK)


def _retry_after(text: str) -> float | None:
    """Read a Retry-After header, seconds or a date (RFC 9110, section 10.2.3), as seconds."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:  # written as -0000
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())


def _announced(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _body(response: requests.Response, url: str) -> Iterator[bytes]:
    """Give the bytes as they are sent: a Content-Encoding added on the way is not undone."""
    try:
        yield from response.raw.stream(_CHUNK, decode_content=False)
    except urllib3.exceptions.HTTPError as error:
        raise _network_fault(url, error) from error


def _network_fault(url: str, error: Exception) -> Exception:
    """Tell what may pass from what will not: a retry against a wrong name only costs time."""
    causes = list(causes_of(error))
    root = causes[-1]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            problem = f"expected a certificate that is trusted, got: {cause.verify_message}"
            return fault(url, problem, "REQUESTS_CA_BUNDLE=FILE trusts a company's or proxy's CA")
    if any(isinstance(cause, _TRANSIENT_ERRORS) for cause in causes):
        return _TransientError(f"the connection failed: {root}")
    if any(isinstance(cause, requests.ConnectTimeout) for cause in causes):
        return fault(url, "expected a connection, got no answer in time", WITHOUT_NETWORK)
    host = urlsplit(url).hostname
    if isinstance(root, socket.gaierror):
        return fault(url, f"expected a name that resolves, got: {root.strerror}", WITHOUT_NETWORK)
    return fault(url, f"expected a connection to {host}, got: {root}", WITHOUT_NETWORK)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Give an error and those behind it: requests and urllib3 wrap the system's."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
