"""Classify network errors, and decide how long to wait before a retry."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
import urllib3  # requests' own transport: reads of a body's raw bytes raise its exceptions

from nix_aurora.errors import FetchError

WITHOUT_NETWORK = (
    "without network: make rpm SOURCE=sample builds from Debian's packages, "
    "--source FILE from an installer or tarball at hand"
)

_TRANSIENT_ERRORS = (
    ConnectionResetError,  # http.client.RemoteDisconnected is a subclass
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
    pause: float = 1  # seconds before the first retry; doubled for each further one
    longest: float = 60  # the maximum, including a server's Retry-After


PATIENCE = Patience()


class TransientError(Exception):
    """A temporary failure; ``after`` is the number of seconds that the server asks for."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def fault(url: str, problem: str, hint: str | None = None) -> FetchError:
    """Return the error for a URL."""
    return FetchError(f"cannot download {url}: {problem}", hint=hint)


def network_fault(url: str, error: Exception) -> Exception:
    """Return the error for ``error``; a TransientError if a retry may help.

    A retry with a wrong name only costs time.
    """
    causes = list(causes_of(error))
    root = causes[-1]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            problem = f"expected a certificate that is trusted, got: {cause.verify_message}"
            return fault(url, problem, "REQUESTS_CA_BUNDLE=FILE trusts a company's or proxy's CA")
    if any(isinstance(cause, _TRANSIENT_ERRORS) for cause in causes):
        return TransientError(f"the connection failed: {root}")
    if any(isinstance(cause, requests.ConnectTimeout) for cause in causes):
        return fault(url, "expected a connection, got no answer in time", WITHOUT_NETWORK)
    host = urlsplit(url).hostname
    if isinstance(root, socket.gaierror):
        return fault(url, f"expected a name that resolves, got: {root.strerror}", WITHOUT_NETWORK)
    return fault(url, f"expected a connection to {host}, got: {root}", WITHOUT_NETWORK)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes: requests and urllib3 wrap the system's errors."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
