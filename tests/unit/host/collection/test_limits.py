"""Test Nix's min-free and max-free: the choice for a disk, and which values are in effect."""

from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.collection import limits
from nix_aurora_host.collection.limits import Limits

from tests.readme import TOP

_GIB = 1 << 30


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with the packaged settings of Nix, which the module reads and changes."""
    for name in ("NIX_CONF", "CUSTOM_CONF", "GC_CONF"):
        path = Path(getattr(paths, name))
        monkeypatch.setattr(paths, name, str(tmp_path / path.name))
        packaged = TOP / f"payload{path}"
        if packaged.exists():
            (tmp_path / path.name).write_text(packaged.read_text())
    return tmp_path


@pytest.mark.parametrize(
    ("size", "least", "wanted"),
    [
        (400 << 20, 20 << 20, 60 << 20),
        (60 * _GIB, 3 * _GIB, 9 * _GIB),
        (2000 * _GIB, 8 * _GIB, 24 * _GIB),
    ],
)
def test_limits_suit_the_size_of_the_disk(size: int, least: int, wanted: int) -> None:
    assert limits.choose(size) == Limits(least, wanted)


def test_limits_are_chosen_for_the_disk_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "BASE", str(tmp_path))
    here = limits.choose_here()
    assert here.wanted == 3 * here.least > 0
    monkeypatch.setattr(paths, "BASE", str(tmp_path / "missing"))
    assert limits.choose_here().least > 0  # those of /var


def test_written_limits_are_in_effect_until_removed(etc: Path) -> None:
    assert limits.read_values() == {}
    assert not limits.remove()
    limits.write(Limits(10, 30))
    assert limits.read_values() == {"min-free": "10", "max-free": "30"}
    assert limits.remove()
    assert limits.read_values() == {}
    assert not Path(paths.GC_CONF).exists()


def test_values_of_the_administrator_win(etc: Path) -> None:
    limits.write(Limits(10, 30))
    with Path(paths.CUSTOM_CONF).open("a") as file:
        file.write("min-free = 5G\n")
    assert limits.read_values() == {"min-free": "5G", "max-free": "30"}


def test_nix_conf_that_does_not_include_the_limits_is_detected(etc: Path) -> None:
    """The file may be determinate-nixd's, or edited before the package added the line."""
    assert limits.is_included()
    Path(paths.NIX_CONF).write_text("sandbox = true\n!include nix.custom.conf\n")
    limits.write(Limits(10, 30))
    assert not limits.is_included()
    assert limits.read_values() == {}
    Path(paths.CUSTOM_CONF).write_text(f"!include {paths.GC_CONF}\n")
    assert limits.is_included()
