"""nix-root.target, after which everything starts that keeps its root directory."""

import tomllib
from pathlib import Path

import pytest

_UNITS = Path(__file__).resolve().parents[2] / "payload/usr/lib/systemd/system"
_EARLY = Path(__file__).with_name("early_units.toml")
_TARGET = "nix-root.target"


def _values(unit: str, key: str) -> set[str]:
    """Return the words of all assignments of ``key`` in one of our units."""
    lines = (_UNITS / unit).read_text(encoding="utf-8").splitlines()
    return {
        word for line in lines if line.startswith(f"{key}=") for word in line.split("=")[1].split()
    }


@pytest.mark.parametrize("release", ["systemd-259", "systemd-262", "haveged"])
def test_each_release_has_its_early_services_ordered(release: str) -> None:
    early = tomllib.loads(_EARLY.read_text(encoding="utf-8"))[release]["units"]
    assert set(early) <= _values(_TARGET, "Before")


@pytest.mark.parametrize("unit", ["nix-root.service", "nix-root-label.service"])
def test_what_changes_the_root_comes_before_the_target(unit: str) -> None:
    """Nothing else starts a passive target, and one that is not started orders nothing."""
    for key in ("Wants", "Before"):
        assert _TARGET in _values(unit, key)
    for name in (unit, _TARGET):
        assert _values(name, "DefaultDependencies") == {"no"}
        assert "shutdown.target" in _values(name, "Conflicts") & _values(name, "Before")
