"""Test parsing the table of mounts in the kernel's format."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nix_aurora_host.mounts import parse, read_table, unescape

# The table of an Atomic host, shortened.
_TABLE = """\
22 1 0:32 / / ro,relatime shared:1 - overlay composefs ro,lowerdir=/run/ostree/.private/cfsroot
23 22 0:33 / /run rw,nosuid,nodev shared:11 - tmpfs tmpfs rw,size=400000k
24 22 252:3 /ostree/etc /etc rw,relatime shared:2 master:3 - ext4 /dev/vda3 rw
25 22 252:3 /var /var rw,relatime - ext4 /dev/vda3 rw
26 25 0:40 / /var/a\\040b\\134c\\011d\\012e rw - tmpfs a\\040disk rw
27 22 0:41 / /run rw - tmpfs second rw
"""


def _escape(name: str) -> str:
    """Return a name in the kernel's form: mangle_path() in fs/seq_file.c."""
    return "".join(f"\\{ord(each):03o}" if each in " \t\n\\" else each for each in name)


def test_each_line_is_a_mount() -> None:
    mounts = parse(_TABLE)
    assert len(mounts) == 6
    assert vars(mounts[0]) == {
        "point": "/",
        "flags": "ro,relatime",
        "kind": "overlay",
        "source": "composefs",
        "options": "ro,lowerdir=/run/ostree/.private/cfsroot",
        "root": "/",
        "device": "0:32",
    }


def test_escapes_are_replaced() -> None:
    mount = parse(_TABLE)[4]
    assert (mount.point, mount.source) == ("/var/a b\\c\td\ne", "a disk")


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_any_name_survives_a_round_trip(name: str) -> None:
    line = f"1 0 0:1 / /{_escape(name)} rw - tmpfs {_escape(name)} rw\n"
    (mount,) = parse(line)
    assert (mount.point, mount.source) == (f"/{name}", name)


@pytest.mark.parametrize("text", ["\n1 2 3\nx - y\n", "22 1 0:20 / /nix rw", " - "])
def test_malformed_line_is_left_out(text: str) -> None:
    assert parse(text) == []


def test_other_backslashes_stay() -> None:
    assert unescape("\\9a\\04\\") == "\\9a\\04\\"


def test_table_is_that_of_this_process() -> None:
    assert read_table() == Path("/proc/self/mountinfo").read_text()
