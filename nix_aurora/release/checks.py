"""Check the form of digests, URLs and versions; ValueError says what is wrong."""

import re
from urllib.parse import urlsplit

from nix_aurora.errors import quoted


def check_sha256(text: str) -> str:
    """Return ``text`` if it is a SHA-256 in lowercase hex, else raise ValueError."""
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"expected 64 hex digits in lower case, got {quoted(text)}")
    return text


def check_url(text: str) -> str:
    """Return ``text`` if it is an https URL with a host and without credentials.

    ValueError says what is wrong, and never repeats a password.
    """
    # urlsplit silently drops tabs and line ends, and URL parsers disagree about backslashes.
    if not re.fullmatch(r"[!-\[\]-~]+", text):
        raise ValueError(f"expected a URL in printable ASCII, got {quoted(text)}")
    try:
        url = urlsplit(text)
        _ = url.port  # raises ValueError as well
    except ValueError as error:
        raise ValueError(f"expected a URL, got something else: {error}") from None
    if "@" in url.netloc:
        raise ValueError(f"expected a URL without credentials, got some for {url.hostname}")
    if url.scheme != "https":
        raise ValueError(f"expected an https URL, got {quoted(text)}")
    if not url.hostname:
        raise ValueError(f"expected a URL with a host, got {quoted(text)}")
    return text


def check_version(text: str) -> str:
    """Return ``text`` if it is a version that RPM compares as numbers, else raise ValueError."""
    # A version with a letter or a hyphen would need a separate rule.
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)+", text):
        raise ValueError(f"expected a version such as 3.22.1, got {quoted(text)}")
    return text


def check_positive(number: int) -> None:
    """Raise ValueError unless ``number`` is positive."""
    if number <= 0:
        raise ValueError(f"expected a positive number, got {number}")
