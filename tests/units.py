"""The units that the package enables, starts and stops, in the order in which they start."""

from pathlib import Path

from nix_aurora.package.lists import read_units

UNITS = tuple(unit.name for unit in read_units(Path(__file__).resolve().parents[1]))
