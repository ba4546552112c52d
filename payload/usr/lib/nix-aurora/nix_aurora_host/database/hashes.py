"""Nix's spellings of a SHA-256.

Source: the Nix manual, "Content-addressing store objects"; nix `src/libutil/base-nix-32.cc`.
"""

import base64
import binascii

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"  # no e, o, u, t
_BYTES = 32
_BASE16 = 64  # characters
_BASE32 = 52


def parse_sha256(text: str) -> bytes:
    """Return the 32 bytes of a SHA-256 in any spelling that Nix writes.

    These are ``sha256:`` with base 16 (in the database), base 32 or base 64, and ``sha256-`` with
    base 64. Raise ValueError for anything else.
    """
    algorithm, separator, digest = text[:6], text[6:7], text[7:]
    if algorithm != "sha256" or separator not in {":", "-"}:
        raise ValueError(f"expected sha256:… or sha256-…, got {text!r}")
    if separator == ":" and len(digest) == _BASE16:
        data = bytes.fromhex(digest)
    elif separator == ":" and len(digest) == _BASE32:
        data = _from_base32(digest)
    else:
        try:
            data = base64.b64decode(digest, validate=True)
        except binascii.Error as error:
            raise ValueError(f"expected base 64, got {digest!r}: {error}") from error
    if len(data) != _BYTES:
        raise ValueError(f"expected {_BYTES} bytes, got {len(data)}: {text!r}")
    return data


def _from_base32(text: str) -> bytes:
    number = 0
    for character in text:
        # raises ValueError for an invalid character
        number = number << 5 | _ALPHABET.index(character)
    try:
        return number.to_bytes(_BYTES, "little")
    except OverflowError:
        raise ValueError(f"{text!r} has more bits than {_BYTES} bytes") from None


def to_nix(digest: bytes) -> str:
    """Return a SHA-256 in the form of registrations: ``sha256:`` and base 32."""
    number = int.from_bytes(digest, "little")
    shifts = range(5 * (_BASE32 - 1), -1, -5)
    return "sha256:" + "".join(_ALPHABET[number >> shift & 31] for shift in shifts)
