"""Test parsing apt's output."""

import pytest

from nix_aurora.errors import ToolError
from sample import debs
from sample.debs import Package

_SIMULATION = """\
Inst libc6 (2.43-7 Debian:testing [amd64])
Inst libgc1 (1:8.2.12-1 Debian:testing [amd64])
Conf libc6 (2.43-7 Debian:testing [amd64])
"""
_STANZAS = """\
Package: libgc1
Version: 1:8.2.12-1
Description: collector
 Inst nothing
Filename: pool/main/libg/libgc/libgc1_8.2.12-1_amd64.deb
SHA256: 00ff

Package: libc6
Version: 2.43-7
Filename: pool/main/g/glibc/libc6_2.43-7_amd64.deb
SHA256: 11ff

"""


def test_simulation_is_parsed() -> None:
    assert debs.parse_simulation(_SIMULATION) == ["libc6", "libgc1"]


def test_stanzas_are_parsed() -> None:
    assert list(debs.parse_stanzas(_STANZAS)) == [
        Package("libgc1", "1:8.2.12-1", "libgc1_8.2.12-1_amd64.deb", "00ff"),
        Package("libc6", "2.43-7", "libc6_2.43-7_amd64.deb", "11ff"),
    ]
    with pytest.raises(ToolError, match="SHA256"):
        list(debs.parse_stanzas("Package: x\nVersion: 1\nFilename: x.deb\n"))


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [
        ("2.34.8+dfsg-1+b1", "2.34.8"),
        ("1:8.2.12-1", "8.2.12"),
        ("1:1.3.dfsg+really1.3.2-3", "1.3"),
        ("9.4.3+~cs12.11.9-2", "9.4.3"),
        ("20260816+nmu1", "20260816"),
        ("6.6+20260608-2", "6.6+20260608"),
        ("5.0~rc1-1", "5.0-rc1"),
    ],
)
def test_upstream_version_is_a_store_path_name(debian: str, upstream: str) -> None:
    assert Package("x", debian, "x.deb", "").upstream_version == upstream


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("libc6", True),
        ("zlib1g", True),
        ("libperl5.42", False),
        ("libdbi-perl", False),
        ("perl-base", False),
    ],
)
def test_libraries_are_recognized(name: str, expected: bool) -> None:
    assert debs.is_library(name) is expected
