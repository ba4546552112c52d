"""Nix's spellings of a SHA-256, and its base32.

Source: the Nix manual, "Content-addressing store objects"; nix `src/libutil/base-nix-32.cc`.
"""

import base64
import binascii

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"  # no e, o, u, t
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_SHA256_BYTES = 32
_SHA256_BASE32 = 52  # characters: ceil(256 / 5)


def to_base32(data: bytes) -> str:
    """Spell ``data`` in Nix's base32: 5 bits a character, the last byte's high bits first."""
    number = int.from_bytes(data, "little")
    length = (len(data) * 8 + 4) // 5
    return "".join(_ALPHABET[number >> shift & 31] for shift in range((length - 1) * 5, -1, -5))


def from_base32(text: str) -> bytes:
    """Read Nix's base32; ValueError on a foreign character or on bits that no byte holds."""
    number = 0
    for character in text:
        try:
            number = number << 5 | _VALUES[character]
        except KeyError:
            raise ValueError(f"{character!r} is not in Nix's base32 alphabet") from None
    size = len(text) * 5 // 8
    try:
        return number.to_bytes(size, "little")
    except OverflowError:
        raise ValueError(f"{text!r} has bits beyond its {size} bytes") from None


def parse_sha256(text: str) -> bytes:
    """Read a SHA-256 in any spelling that Nix accepts, as its 32 bytes.

    ``sha256:<base32>``, ``sha256:<hex>``, ``sha256:<base64>`` and ``sha256-<base64>`` (SRI).
    ValueError says what is wrong.
    """
    algorithm, separator, digest = text[:6], text[6:7], text[7:]
    if algorithm != "sha256" or separator not in {":", "-"}:
        raise ValueError(f"expected sha256:… or sha256-…, got {text!r}")
    try:
        if separator == "-":
            data = base64.b64decode(digest, validate=True)
        elif len(digest) == _SHA256_BYTES * 2:
            data = bytes.fromhex(digest)
        elif len(digest) == _SHA256_BASE32:
            data = from_base32(digest)
        else:
            data = base64.b64decode(digest, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"malformed SHA-256 {text!r}: {error}") from error
    if len(data) != _SHA256_BYTES:
        raise ValueError(f"malformed SHA-256 {text!r}: expected 32 bytes, got {len(data)}")
    return data


def to_nix(digest: bytes) -> str:
    """Spell a SHA-256 as Nix's registrations do: ``sha256:<base32>``."""
    return "sha256:" + to_base32(digest)


def to_sri(digest: bytes) -> str:
    """Spell a SHA-256 as Nix's JSON does: ``sha256-<base64>``."""
    return "sha256-" + base64.b64encode(digest).decode()
