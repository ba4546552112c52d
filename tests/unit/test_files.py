import hashlib
import os
import stat
from pathlib import Path

import pytest

from nix_aurora import files


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def test_sha256_file_is_that_of_the_content(tmp_path: Path) -> None:
    content = os.urandom((2 << 20) + 5)
    (tmp_path / "f").write_bytes(content)
    assert files.sha256_file(tmp_path / "f") == hashlib.sha256(content).hexdigest()


def test_remove_tree_opens_read_only_directories(tmp_path: Path) -> None:
    tree = tmp_path / "a"
    (tree / "b/c").mkdir(parents=True)
    (tree / "b/c/file").touch()
    (tree / "outside").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    (tree / "b/c").chmod(0o555)
    (tree / "b").chmod(0o555)
    files.remove_tree(tree)
    files.remove_tree(tree)  # a missing tree is not an error
    assert names(tmp_path) == ["kept"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_new_file_appears_complete(tmp_path: Path, umask: int, mode: int) -> None:
    final = tmp_path / "new/file"
    former = os.umask(umask)
    try:
        with files.new_file(final) as temporary:
            temporary.write_text("x")
            assert not final.exists()
            assert temporary.parent == final.parent
    finally:
        os.umask(former)
    assert final.read_text() == "x"
    assert stat.S_IMODE(final.stat().st_mode) == mode
    assert names(final.parent) == ["file"]


def test_new_file_keeps_the_earlier_one_after_a_fault(tmp_path: Path) -> None:
    final = tmp_path / "file"
    final.write_text("former")

    def interrupted() -> None:
        with files.new_file(final) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert final.read_text() == "former"
    assert names(tmp_path) == ["file"]


def test_new_directory_appears_complete(tmp_path: Path) -> None:
    final = tmp_path / "new/directory"
    with files.new_directory(final) as temporary:
        (temporary / "x").touch()
        assert not final.exists()
    assert names(final) == ["x"]
    assert stat.S_IMODE(final.stat().st_mode) == 0o755
    with files.new_directory(final) as temporary:
        (temporary / "y").touch()
        assert names(final) == ["x"]
    assert names(final) == ["y"]
    assert names(final.parent) == ["directory"]


def test_new_directory_keeps_the_earlier_one_after_a_fault(tmp_path: Path) -> None:
    final = tmp_path / "directory"
    final.mkdir()

    def interrupted() -> None:
        with files.new_directory(final) as temporary:
            (temporary / "y").mkdir(mode=0o555)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(final) == []
    assert names(tmp_path) == ["directory"]
