"""Download over HTTPS, with redirects, time-outs and retries, and check against the pin.

urllib3's Retry is not used for the loop over the attempts: it ends where the body begins, but most
connections that drop do so in a long body. It also makes the first retry without a pause.
"""

import hashlib
import http.client
import random
import time
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from nix_aurora import log
from nix_aurora.release.checks import check_url
from nix_aurora.release.network import (
    PATIENCE,
    WITHOUT_NETWORK,
    Patience,
    TransientError,
    fault,
    network_fault,
)
from nix_aurora.release.pins import Artifact, Digest

_CHUNK = 1 << 16
_REDIRECTS = 10
_TRANSIENT_STATUS = {429, 500, 502, 503, 504}


def download(artifact: Artifact, file: BinaryIO, patience: Patience = PATIENCE) -> None:
    """Write the artifact to ``file``, whose content is verified unless this raises FetchError.

    requests takes proxies and certificates from the environment (HTTPS_PROXY, NO_PROXY,
    REQUESTS_CA_BUNDLE). OSError comes from ``file`` only.
    """
    found = _download(artifact.url, artifact.size, file, patience, pinned=True)
    if found.sha256 != artifact.sha256:
        problem = f"expected SHA-256 {artifact.sha256}, got {found.sha256}"
        raise fault(artifact.url, problem, "the file was replaced, or changed on its way here")


def download_unpinned(url: str, file: BinaryIO, patience: Patience = PATIENCE) -> Digest:
    """Write the content at ``url`` to ``file``, and return its digest; no pin vouches for it yet.

    Otherwise as ``download``.
    """
    return _download(url, None, file, patience, pinned=False)


def _download(
    url: str, size: int | None, file: BinaryIO, patience: Patience, *, pinned: bool
) -> Digest:
    """Write the content at ``url`` to ``file``, and return its digest.

    Check ``size`` if not None.
    """
    log.info(f"downloading {url}")
    with requests.Session() as session:
        # The pin is for the plain bytes, not for bytes that are compressed in transit.
        session.headers.update({"Accept-Encoding": "identity", "User-Agent": "nix-aurora"})
        attempt = 0
        while True:
            try:
                return _attempt(session, url, size, file, patience, pinned=pinned)
            except TransientError as error:
                if attempt == patience.retries:
                    problem = f"gave up after {attempt + 1} attempts: {error}"
                    raise fault(url, problem, WITHOUT_NETWORK) from error
                pause = error.after
                if pause is None:
                    jitter = random.uniform(1, 1.25)  # noqa: S311 - no secret
                    pause = min(patience.pause * 2**attempt * jitter, patience.longest)
                elif pause > patience.longest:
                    problem = f"{error}, and the server asks to wait {pause:.0f} s"
                    raise fault(url, problem, "try again later") from error
                log.warn(f"cannot download {url}: {error}; trying again in {pause:.1f} s")
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
            # Otherwise a truncated body would end like a whole one, and no digest would reveal it.
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
    # urllib3 2 checks this too, but a connection that is cut within TLS may look like the regular
    # end of a body.
    least = expected if announced is None else announced
    if least is not None and size < least:
        raise TransientError(f"expected {least} bytes, got {size}")
    return Digest(size, digest.hexdigest())


def _get(session: requests.Session, url: str, patience: Patience) -> requests.Response:
    """Request ``url``, follow redirects, and return a response with status 200."""
    target = url
    for _ in range(_REDIRECTS + 1):
        log.detail(f"GET https://{urlsplit(target).netloc}{urlsplit(target).path}")
        try:
            response = session.get(
                target,
                stream=True,
                timeout=(patience.connect, patience.read),
                allow_redirects=False,  # requests would follow a redirect to http
            )
        # RequestException is an OSError, and so is the error for a missing REQUESTS_CA_BUNDLE
        except OSError as error:
            raise network_fault(url, error) from error
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
        raise TransientError(problem, _retry_after(response.headers.get("Retry-After", "")))
    raise fault(url, problem, WITHOUT_NETWORK)


def _retry_after(text: str) -> float | None:
    """Parse a Retry-After header, seconds or a date (RFC 9110, section 10.2.3), to seconds."""
    try:
        return urllib3.Retry().parse_retry_after(text)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


def _announced(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _body(response: requests.Response, url: str) -> Iterator[bytes]:
    """Yield the bytes as they were sent, without undoing a Content-Encoding."""
    try:
        yield from response.raw.stream(_CHUNK, decode_content=False)
    except urllib3.exceptions.HTTPError as error:
        raise network_fault(url, error) from error
