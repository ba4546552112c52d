"""Test CPEs and package URLs against the specifications' grammar of names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix_aurora.closure.identifiers import cpe, purl

# SPDX 2.3, annex F.1.2, for the parts that can differ from ``*``.
_CPE = re.compile(
    r"cpe:2\.3:a(:([a-zA-Z0-9\-._]|\\[\\*?!\"#$%&'()+,/:;<=>@\[\]^`{|}~])+){3}(:\*){7}", re.ASCII
)
# The characters of a store path's name: nix ``src/libstore/path.cc``.
names = st.text("abcXYZ0189+-._?=", min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("openssl", "3.6.0", "cpe:2.3:a:openssl:openssl:3.6.0:*:*:*:*:*:*:*"),
        ("curl", "8.17.0", "cpe:2.3:a:haxx:curl:8.17.0:*:*:*:*:*:*:*"),
        ("zstd", "1.5.7-bin", "cpe:2.3:a:facebook:zstandard:1.5.7:*:*:*:*:*:*:*"),
        ("glibc", "2.42-47", "cpe:2.3:a:gnu:glibc:2.42-47:*:*:*:*:*:*:*"),
        ("Gcc++", "14+1", r"cpe:2.3:a:gcc\+\+:gcc\+\+:14\+1:*:*:*:*:*:*:*"),
    ],
)
def test_cpe_has_vendor_product_and_version(name: str, version: str, expected: str) -> None:
    assert cpe(name, version) == expected


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("openssl", "3.6.0", "pkg:nix/openssl@3.6.0"),
        ("openssl", "3.6.0-bin", "pkg:nix/openssl@3.6.0"),
        ("gcc", "14.3.0-libgcc", "pkg:nix/gcc@14.3.0"),
        ("libstdc++", "1?=2", "pkg:nix/libstdc%2B%2B@1%3F%3D2"),
    ],
)
def test_purl_has_name_and_version(name: str, version: str, expected: str) -> None:
    assert purl(name, version) == expected


@given(name=names, version=names)
def test_any_name_of_a_store_path_has_valid_identifiers(name: str, version: str) -> None:
    assert _CPE.fullmatch(cpe(name, version))
    assert re.fullmatch(r"pkg:nix/[A-Za-z0-9._~%-]+@[A-Za-z0-9._~%-]*", purl(name, version))
