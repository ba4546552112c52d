"""Nix's spellings of a SHA-256, and its base32.

Source: the Nix manual, "Content-addressing store objects"; nix `src/libutil/base-nix-32.cc`.
"""

import base64
import re

from nix_aurora.errors import quoted

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"  # no e, o, u, t
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_SHA256_BYTES = 32
# The number of characters in the spellings without a `sha256-` prefix.
_SHA256_HEX = 64
_SHA256_BASE32 = 52
_SHA256_BASE64 = 44
_HEX = re.compile(r"[0-9A-Fa-f]*")


def to_base32(data: bytes) -> str:
    """Encode ``data`` in Nix's base32: 5 bits a character, the last byte's high bits first."""
    number = int.from_bytes(data, "little")
    length = (len(data) * 8 + 4) // 5
    return "".join(_ALPHABET[number >> shift & 31] for shift in range((length - 1) * 5, -1, -5))


def from_base32(text: str) -> bytes:
    """Decode Nix's base32; raise ValueError for an invalid character or for excess bits."""
    number = 0
    for character in text:
        try:
            number = number << 5 | _VALUES[character]
        except KeyError:
            raise ValueError(f"{quoted(character)} is not in Nix's base32 alphabet") from None
    size = len(text) * 5 // 8
    try:
        return number.to_bytes(size, "little")
    except OverflowError:
        raise ValueError(f"{quoted(text)} has bits beyond its {size} bytes") from None


def parse_sha256(text: str) -> bytes:
    """Parse a SHA-256 in any spelling that Nix accepts in a registration, to its 32 bytes.

    The spellings are ``sha256-<base64>`` (SRI), and hex, Nix's base32 or base64, which differ in
    length, alone or after ``sha256:``. ValueError says what is wrong. Source: nix
    `src/libutil/hash.cc`, Hash::parseAny.
    """
    digest, is_sri = _without_algorithm(text)
    try:
        if is_sri or len(digest) == _SHA256_BASE64:
            data = _from_base64(digest)
        elif len(digest) == _SHA256_HEX:
            data = _from_hex(digest)
        elif len(digest) == _SHA256_BASE32:
            data = from_base32(digest)
        else:
            raise ValueError(f"expected 64, 52 or 44 characters, got {len(digest)}")  # noqa: TRY301
    except ValueError as error:
        raise ValueError(f"malformed SHA-256 {quoted(text)}: {error}") from error
    if len(data) != _SHA256_BYTES:
        raise ValueError(f"malformed SHA-256 {quoted(text)}: expected 32 bytes, got {len(data)}")
    return data


def _without_algorithm(text: str) -> tuple[str, bool]:
    """Return the digest, and whether it is in SRI form; raise ValueError for another algorithm."""
    for separator in ":-":  # Nix searches for a colon first
        algorithm, found, digest = text.partition(separator)
        if found:
            if algorithm != "sha256":
                raise ValueError(f"expected a SHA-256, got {quoted(text)}")
            return digest, separator == "-"
    return text, False


def _from_hex(digest: str) -> bytes:
    if not _HEX.fullmatch(digest):  # bytes.fromhex() skips white space
        raise ValueError("expected hexadecimal digits, got others")
    return bytes.fromhex(digest)


def _from_base64(digest: str) -> bytes:
    """Decode base64; Nix does not require the padding."""
    bare = digest.rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def to_nix(digest: bytes) -> str:
    """Spell a SHA-256 as Nix's registrations do: ``sha256:<base32>``."""
    return "sha256:" + to_base32(digest)


def to_sri(digest: bytes) -> str:
    """Spell a SHA-256 as Nix's JSON does: ``sha256-<base64>``."""
    return "sha256-" + base64.b64encode(digest).decode()
