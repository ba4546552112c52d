"""Test that everything that keeps its root directory starts after nix-root.target."""

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
def test_early_services_of_each_release_are_ordered(release: str) -> None:
    early = tomllib.loads(_EARLY.read_text(encoding="utf-8"))[release]["units"]
    assert set(early) <= _values(_TARGET, "Before")


@pytest.mark.parametrize("unit", ["nix-root.service", "nix-root-label.service"])
def test_unit_that_changes_the_root_wants_the_target(unit: str) -> None:
    """Nothing else starts a passive target, and a target that is not started orders nothing."""
    for key in ("Wants", "Before"):
        assert _TARGET in _values(unit, key)
    for name in (unit, _TARGET):
        assert _values(name, "DefaultDependencies") == {"no"}
        assert "shutdown.target" in _values(name, "Conflicts") & _values(name, "Before")
