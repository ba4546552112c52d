"""Test the records of boots that may have failed, and of kinds of root that failed before."""

from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.nix_root import boots

_TEXT = "overlay 6.18 first\noverlay 6.18 second\n"


@pytest.fixture
def pending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of boots, which does not exist yet."""
    path = tmp_path / "pending"
    monkeypatch.setattr(paths, "PENDING", str(path))
    return path


@pytest.mark.parametrize(("text", "count"), [(None, 0), ("", 1), ("a b c\n", 1), (_TEXT, 2)])
def test_boots_are_counted(text: str | None, count: int) -> None:
    """An older package wrote an empty file, which counts as one boot."""
    assert boots.count(text) == count


def test_other_lines_are_skipped() -> None:
    assert boots.parse(f"{_TEXT}half a\n") == [
        ("overlay", "6.18", "first"),
        ("overlay", "6.18", "second"),
    ]


def test_kind_is_avoided_only_with_its_kernel() -> None:
    text = "overlay 6.18\nbinds 6.17\n"
    assert boots.is_avoided(text, "overlay", "6.18")
    assert not boots.is_avoided(text, "overlay", "6.1")
    assert not boots.is_avoided(text, "binds", "6.18")
    assert not boots.is_avoided("", "overlay", "6.18")


def test_each_boot_adds_its_line(pending: Path) -> None:
    boots.add("overlay", "6.18", "first")
    boots.add("overlay", "6.18", "second")
    assert pending.read_text() == _TEXT


def test_boot_removes_its_own_line(pending: Path) -> None:
    pending.write_text(_TEXT)
    boots.remove("second")
    assert pending.read_text() == "overlay 6.18 first\n"
    boots.remove("another")
    assert pending.read_text() == "overlay 6.18 first\n"
    boots.remove("first")
    assert not pending.exists()
    boots.remove("first")
    assert list(pending.parent.iterdir()) == []
