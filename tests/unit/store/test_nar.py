import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nix_aurora.errors import VerificationError
from nix_aurora.store import hashes, nar
from tests.closures import File, Link, Node, write_tree
from tests.closures import nar as plain_nar

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8)
LEAVES = st.one_of(
    st.builds(File, st.binary(max_size=40), st.booleans()),
    st.builds(Link, NAMES),
)
TREES: st.SearchStrategy[Node] = st.recursive(
    LEAVES,
    lambda children: st.dictionaries(NAMES.filter(lambda n: n not in {".", ".."}), children),
    max_leaves=12,
)


@given(TREES)
@settings(max_examples=60, deadline=None)
def test_nar_is_the_same_as_a_plain_implementations(tree: Node) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "path"
        write_tree(tree, path)
        data = b"".join(nar.dump(path))
        found = nar.nar_hash(path)
    assert data == plain_nar(tree)
    assert found == (hashlib.sha256(data).digest(), len(data))


def test_file_has_known_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    words = [b"nix-archive-1", b"(", b"type", b"regular", b"contents", b"hello", b")"]
    expected = b"".join(
        len(w).to_bytes(8, "little") + w.ljust(-(-len(w) // 8) * 8, b"\0") for w in words
    )
    assert b"".join(nar.dump(path)) == expected


def test_directory_has_known_hash(tmp_path: Path) -> None:
    # `nix hash path` of an empty directory
    path = tmp_path / "empty"
    path.mkdir()
    assert hashes.to_sri(nar.nar_hash(path).sha256) == (
        "sha256-pQpattmS9VmO3ZIQUFn66az8GSmB4IvYhTTCFn6SUmo="
    )


def test_large_files_are_dumped_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = os.urandom((3 << 20) + 1)
    path.write_bytes(content)
    pieces = list(nar.dump(path))
    assert max(map(len, pieces)) <= 1 << 20
    assert b"".join(pieces) == plain_nar(File(content))
    told: list[int] = []
    assert nar.nar_hash(path, told.append).size == sum(told)


def test_special_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(VerificationError, match="fifo: expected a file, directory or symlink"):
        nar.nar_hash(tmp_path)
