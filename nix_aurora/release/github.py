"""A release as GitHub's REST API tells of it: its version, and its assets with size and digest.

Schemas ``release`` and ``release-asset``: https://github.com/github/rest-api-description.
"""

import datetime
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter

from nix_aurora import log
from nix_aurora.errors import FetchError, UsageError, quoted
from nix_aurora.release.checks import check_sha256, check_url, check_version
from nix_aurora.release.network import PATIENCE, Patience, causes_of
from nix_aurora.text import printable

API = "https://api.github.com"
_HEADERS = {
    "Accept": "application/vnd.github+json",
    "User-Agent": "nix-aurora",
    "X-GitHub-Api-Version": "2026-03-10",
}
_DIGEST = "sha256:"
_CHUNK = 64 << 10
_LARGEST = 8 << 20  # bytes of an answer; a release with 50 assets is some 100 KB
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of a release. ``sha256`` is None where GitHub has measured none."""

    url: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Release:
    """A published release; ``assets`` has those that are there in full, by file name."""

    version: str
    assets: Mapping[str, Asset]


def find_release(
    repository: str, version: str | None, api: str = API, patience: Patience = PATIENCE
) -> Release | None:
    """Return the release of a version, or the newest where it is None; None if there is no such.

    ``repository`` is OWNER/NAME. The environment's GITHUB_TOKEN is used where it is set. Raises
    FetchError, which says when to try again where GitHub wants that.
    """
    which = "latest" if version is None else f"tags/v{version}"
    url = f"{api.rstrip('/')}/repos/{repository}/releases/{which}"
    response, body = _get(url, _token(), patience)
    if response.status_code == requests.codes.not_found:
        return None
    if response.status_code != requests.codes.ok:
        raise _refusal(url, response, body)
    try:
        return _release(json.loads(body), version)
    except (ValueError, RecursionError) as error:  # json's own is a ValueError
        raise _fault(url, f"expected a release as GitHub documents it, got: {error}") from error


class _Bearer(requests.auth.AuthBase):
    """Sends a token, and keeps requests from the logins in ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _fault(url: str, problem: str, hint: str | None = None) -> FetchError:
    return FetchError(f"asking GitHub: {url}: {problem}", hint=hint)


def _token() -> str | None:
    token = os.environ.get("GITHUB_TOKEN", "").strip()
    # What cannot be a header would be quoted in the error of whoever finds that out.
    if not re.fullmatch(r"[!-~]*", token):
        raise UsageError("GITHUB_TOKEN: expected a token of GitHub's, got other characters")
    return token or None


def _get(url: str, token: str | None, patience: Patience) -> tuple[requests.Response, bytes]:
    """Return the answer and its body."""
    # A server's fault may pass. A closed port, a wrong name and a wrong certificate do not.
    retry = urllib3.Retry(
        total=patience.retries,
        connect=0,
        other=0,
        status_forcelist=(500, 502, 503, 504),
        backoff_factor=patience.pause,
        respect_retry_after_header=False,
        raise_on_status=False,
    )
    log.detail(f"GET {url}")
    try:
        with requests.Session() as session:
            session.mount("https://", HTTPAdapter(max_retries=retry))
            # Followed, a redirect could lead to http; one means that the project has moved.
            response = session.get(
                url,
                headers=_HEADERS,
                auth=_Bearer(token),
                allow_redirects=False,
                timeout=(patience.connect, patience.read),
                stream=True,
            )
            return response, _body(url, response)
    except OSError as error:  # RequestException is one; so is a missing REQUESTS_CA_BUNDLE
        *_, root = causes_of(error)
        hint = "HTTPS_PROXY and REQUESTS_CA_BUNDLE are heeded, where there is a proxy"
        raise _fault(url, f"expected an answer, got: {root}", hint) from error


def _body(url: str, response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > _LARGEST:
            raise _fault(url, f"expected an answer of at most {_LARGEST} bytes, got more")
    return bytes(body)


def _refusal(url: str, response: requests.Response, body: bytes) -> FetchError:
    problem = f"expected HTTP status 200, got {response.status_code} {response.reason}"
    if said := _message(body):
        problem += f" ({said})"
    if response.is_redirect:
        return _fault(url, problem, "the project has moved: look where, and who is there now")
    if response.status_code == requests.codes.unauthorized:
        return _fault(url, problem, "GITHUB_TOKEN is not valid, or not any more")
    if response.status_code in {requests.codes.forbidden, requests.codes.too_many_requests}:
        hint = f"try again {_after_the_limit(response.headers)}"
        if "Authorization" not in response.request.headers:
            hint += ", or set GITHUB_TOKEN, for which the limit is higher"
        return _fault(url, problem, hint)
    return _fault(url, problem, "try again later")


def _message(body: bytes) -> str:
    """Return an answer's message, in one line of ASCII; empty unless of schema ``basic-error``."""
    try:
        said = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return " ".join(re.findall(r"[!-~]+", str(said)))[:200]


def _after_the_limit(headers: Mapping[str, str]) -> str:
    """Return when to ask again, in words.

    https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api, "Exceeding the
    rate limit".
    """
    seconds, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    if re.fullmatch(r"[0-9]{1,9}", seconds):
        return f"in {seconds} s"
    if headers.get("x-ratelimit-remaining") == "0" and re.fullmatch(r"[0-9]{1,11}", reset):
        moment = datetime.datetime.fromtimestamp(int(reset), datetime.UTC)
        return f"after {moment:%Y-%m-%d %H:%M:%S} UTC"
    return "in a minute"


def _release(content: object, wanted: str | None) -> Release:
    """Read a release, of the version that is wanted if any; ValueError says what is wrong."""
    version = check_version(_take(content, "tag_name", str).removeprefix("v"))
    if wanted not in {None, version}:
        raise ValueError(f"tag_name: expected v{wanted}, got v{version}")
    assets = dict(_assets(_take(content, "assets", list)))
    return Release(version, MappingProxyType(assets))


def _assets(content: list[object]) -> Iterator[tuple[str, Asset]]:
    for item in content:
        if _take(item, "state", str) != "uploaded":  # it is "open": on its way
            continue
        url = check_url(_take(item, "browser_download_url", str))
        yield _take(item, "name", str), Asset(url, _take(item, "size", int), _sha256(item))


def _sha256(item: object) -> str | None:
    # Null for what was uploaded before June 2025.
    if isinstance(item, dict) and item.get("digest", "") is None:
        return None
    digest = _take(item, "digest", str)
    if not digest.startswith(_DIGEST):
        raise ValueError(f"digest: expected {_DIGEST}HEX, got {quoted(digest)}")
    return check_sha256(digest.removeprefix(_DIGEST))


def _take(content: object, key: str, kind: type[_T]) -> _T:
    """Return a key's value, which has to be of just that type: a bool is an int."""
    value = content.get(key) if isinstance(content, dict) else None
    if type(value) is not kind:
        raise ValueError(f"{key}: expected {kind.__name__}, got {printable(repr(value))}")
    return value
