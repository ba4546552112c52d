import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix_aurora.store import hashes

# The SHA-256 of no bytes, in the spellings of `nix hash convert`.
EMPTY = hashlib.sha256(b"").digest()
EMPTY_BASE32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
EMPTY_BASE64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@given(st.binary(max_size=100))
def test_base32_round_trip(data: bytes) -> None:
    text = hashes.to_base32(data)
    assert len(text) == (len(data) * 8 + 4) // 5
    assert hashes.from_base32(text) == data


@given(st.binary(min_size=32, max_size=32))
def test_every_spelling_is_parsed(digest: bytes) -> None:
    assert hashes.parse_sha256(hashes.to_nix(digest)) == digest
    assert hashes.parse_sha256(hashes.to_sri(digest)) == digest
    assert hashes.parse_sha256(f"sha256:{digest.hex()}") == digest
    assert hashes.parse_sha256(hashes.to_sri(digest).replace("-", ":")) == digest
    assert hashes.parse_sha256(hashes.to_sri(digest).rstrip("=")) == digest
    for prefix in ("", "sha256:"):
        assert hashes.parse_sha256(f"{prefix}{digest.hex()}") == digest
        assert hashes.parse_sha256(f"{prefix}{digest.hex().upper()}") == digest
        assert hashes.parse_sha256(f"{prefix}{hashes.to_base32(digest)}") == digest
        assert hashes.parse_sha256(f"{prefix}{base64.b64encode(digest).decode()}") == digest


def test_known_vectors_are_parsed() -> None:
    assert hashes.to_nix(EMPTY) == f"sha256:{EMPTY_BASE32}"
    assert hashes.to_sri(EMPTY) == f"sha256-{EMPTY_BASE64}"
    assert hashes.to_base32(b"") == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("md5:" + "0" * 32, "expected a SHA-256"),
        ("sha512-" + EMPTY_BASE64, "expected a SHA-256"),
        ("SHA256:" + EMPTY_BASE32, "expected a SHA-256"),
        (":" + EMPTY_BASE32, "expected a SHA-256"),
        ("sha256/" + EMPTY_BASE64, "expected 64, 52 or 44 characters, got 51"),
        (EMPTY_BASE64[:-1], "expected 64, 52 or 44 characters, got 43"),
        ("", "expected 64, 52 or 44 characters, got 0"),
        ("sha256:" + " " * 64, "expected hexadecimal digits"),
        ("sha256:" + "0" * 51, "malformed"),
        ("sha256:" + "e" * 52, "'e' is not in Nix's base32 alphabet"),
        ("sha256:" + "z" * 52, "bits beyond its 32 bytes"),
        ("sha256:" + "g" * 64, "expected hexadecimal digits"),
        ("sha256-" + EMPTY_BASE64[:-4], "malformed"),
        ("sha256-" + EMPTY_BASE64[:-2], "malformed"),
        ("sha256-" + EMPTY_BASE64.replace("/", "_"), "malformed"),
        ("sha256-", "expected 32 bytes, got 0"),
    ],
)
def test_malformed_hash_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hashes.parse_sha256(text)
