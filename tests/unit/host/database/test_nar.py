"""Test the hash of content that an attacker may have written."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
from nix_aurora_host.database import nar
from nix_aurora_host.database.hashes import parse_sha256

from nix_aurora.store.hashes import to_nix, to_sri
from nix_aurora.store.nar import nar_hash
from tests.unit.host.nix_database import A

_DIGEST = hashlib.sha256(b"x").digest()


@pytest.mark.parametrize(
    "text", [f"sha256:{_DIGEST.hex()}", to_nix(_DIGEST), to_sri(_DIGEST)], ids=["16", "32", "sri"]
)
def test_hash_is_read_in_every_spelling(text: str) -> None:
    assert parse_sha256(text) == _DIGEST


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha512:00",
        "sha256:zz",
        "sha256-%%%",
        "sha256:" + "e" * 52,
        "sha256:" + "z" * 52,
        "sha256:" + "g" * 64,
    ],
)
def test_other_text_is_not_a_hash(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_sha256(text)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with one path that has every kind of node."""
    top = tmp_path / A
    (top / "a/deep").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "a/deep/file").write_bytes(b"content")
    (top / "a-b").write_bytes(b"sorted by bytes")
    (top / "program").write_bytes(b"#!")
    (top / "program").chmod(0o555)
    (top / "link").symlink_to("/etc/shadow")
    (top / os.fsdecode(b"\xff")).write_bytes(b"")
    return tmp_path


def test_hash_is_the_same_as_the_builders(store: Path) -> None:
    wanted = nar_hash(store / A)
    done: list[int] = []
    nar.verify(str(store), A, wanted.sha256, wanted.size, done.append)
    assert sum(done) == wanted.size


@pytest.mark.parametrize("kind", ["file", "link"])
def test_store_path_may_be_a_file_or_a_link(tmp_path: Path, kind: str) -> None:
    if kind == "file":
        (tmp_path / A).write_bytes(b"1234567")
    else:
        (tmp_path / A).symlink_to("elsewhere")
    wanted = nar_hash(tmp_path / A)
    nar.verify(str(tmp_path), A, wanted.sha256, wanted.size)


def test_path_may_be_deeper_than_python_recurses(
    tmp_path: Path,
) -> None:
    (tmp_path / A / "/".join(["d"] * 300)).mkdir(parents=True)
    wanted = nar_hash(tmp_path / A)
    former = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        nar.verify(str(tmp_path), A, wanted.sha256, wanted.size)
        with pytest.raises(nar.ContentError, match="expected a NAR of 100 bytes, got more"):
            nar.verify(str(tmp_path), A, wanted.sha256, 100)
    finally:
        sys.setrecursionlimit(former)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda top: (top / "a-b").write_bytes(b"sorted by bytez"), "the content differs"),
        (lambda top: (top / "a-b").chmod(0o755), "expected a NAR"),
        (lambda top: (top / "more").touch(), "expected a NAR"),
        (lambda top: (top / "link").unlink(), "expected a NAR"),
        (lambda top: os.mkfifo(top / "empty/fifo"), "something else than files"),
        (lambda top: os.chown(top / "a-b", 30001, 0), "expected owner 0, got 30001"),
        (lambda top: os.truncate(top / "a-b", 15 << 40), "expected a NAR"),
    ],
    ids=["byte", "mode", "more", "less", "fifo", "owner", "sparse"],
)
def test_different_content_is_refused(store: Path, change: object, reason: str) -> None:
    wanted = nar_hash(store / A)
    assert callable(change)
    change(store / A)
    done: list[int] = []
    with pytest.raises(nar.ContentError, match=reason):
        nar.verify(str(store), A, wanted.sha256, wanted.size, done.append)
    assert sum(done) <= wanted.size


def test_no_link_is_followed_out_of_the_store(tmp_path: Path) -> None:
    """A path that is a link is hashed as a link, wherever it leads."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"secret")
    wanted = nar_hash(outside)
    (tmp_path / A).symlink_to(outside)
    with pytest.raises(nar.ContentError):
        nar.verify(str(tmp_path), A, wanted.sha256, wanted.size)
