"""Ask GitHub's REST API, and accept only answers of the documented form.

Schemas: https://github.com/github/rest-api-description.
"""

import datetime
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter

from nix_aurora import log
from nix_aurora.errors import FetchError, UsageError, quoted
from nix_aurora.release.network import PATIENCE, Patience, causes_of
from nix_aurora.text import printable

API = "https://api.github.com"
_HEADERS = {
    "Accept": "application/vnd.github+json",
    "User-Agent": "nix-aurora",
    "X-GitHub-Api-Version": "2026-03-10",
}
_CHUNK = 64 << 10
_LARGEST = 8 << 20  # bytes of an answer; a release with 50 assets is about 100 KB
_MOST_PAGES = 50
_T = TypeVar("_T")


def ask(
    url: str, what: str, read: Callable[[object], _T], patience: Patience = PATIENCE
) -> _T | None:
    """Return what ``read`` makes of the answer at ``url``; None if GitHub has nothing there.

    ``what`` describes the expected answer in words. ``read`` takes the JSON and raises ValueError
    if it has another form. The environment's GITHUB_TOKEN is used if it is set. Raises FetchError,
    with the time of the next try if GitHub names one.
    """
    found, _ = _page(url, what, read, patience)
    return found


def ask_pages(
    url: str, what: str, read: Callable[[object], list[_T]], patience: Patience = PATIENCE
) -> list[_T] | None:
    """Return all items of a list that GitHub spreads over pages; otherwise as ``ask``.

    https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api
    """
    found: list[_T] = []
    next_url = url
    for _ in range(_MOST_PAGES):
        items, following = _page(next_url, what, read, patience)
        if items is None:
            return None
        found += items
        if following is None:
            return found
        # The token is sent to no other host, and no loop leads back to the first page.
        if not following.startswith(f"{url.partition('?')[0]}?"):
            raise _fault(url, f"expected a next page of the same list, got {quoted(following)}")
        next_url = following
    raise _fault(url, f"expected at most {_MOST_PAGES} pages, got more")


def _page(
    url: str, what: str, read: Callable[[object], _T], patience: Patience
) -> tuple[_T | None, str | None]:
    """Return a page's content (None if it does not exist) and the URL of the next page."""
    response, body = _get(url, _token(), patience)
    if response.status_code == requests.codes.not_found:
        return None, None
    if response.status_code != requests.codes.ok:
        raise _refusal(url, response, body)
    try:
        return read(json.loads(body)), response.links.get("next", {}).get("url")
    except (ValueError, RecursionError) as error:  # json's own error is a ValueError
        raise _fault(url, f"expected {what} as GitHub documents it, got: {error}") from error


class _Bearer(requests.auth.AuthBase):
    """Send a token, and keep requests from using the logins in ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _fault(url: str, problem: str, hint: str | None = None) -> FetchError:
    return FetchError(f"cannot ask GitHub: {url}: {problem}", hint=hint)


def _token() -> str | None:
    token = os.environ.get("GITHUB_TOKEN", "").strip()
    # requests would quote a value that cannot be a header in its error.
    if not re.fullmatch(r"[!-~]*", token):
        raise UsageError("GITHUB_TOKEN: expected a token of GitHub's, got other characters")
    return token or None


def _get(url: str, token: str | None, patience: Patience) -> tuple[requests.Response, bytes]:
    """Return the answer and its body."""
    # A server error may be temporary. A closed port, a wrong name and a wrong certificate are not.
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
            # If it were followed, a redirect could lead to http; it also means that the project has
            # moved.
            response = session.get(
                url,
                headers=_HEADERS,
                auth=_Bearer(token),
                allow_redirects=False,
                timeout=(patience.connect, patience.read),
                stream=True,
            )
            return response, _body(url, response)
    # RequestException is an OSError, and so is the error for a missing REQUESTS_CA_BUNDLE
    except OSError as error:
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
        return _fault(url, problem, "check where the project has moved, and who owns it now")
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


def take(content: object, key: str, kind: type[_T]) -> _T:
    """Return a key's value, which must have exactly the type ``kind``: a bool is also an int."""
    value = content.get(key) if isinstance(content, dict) else None
    if type(value) is not kind:
        raise ValueError(f"{key}: expected {kind.__name__}, got {printable(repr(value))}")
    return value
