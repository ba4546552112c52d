"""Lists in the payload that the spec shares: units, layouts, and Fedora's own Nix packages."""

from pathlib import Path
from typing import NamedTuple

_PAYLOAD = "payload/usr/lib/nix-aurora"


class Unit(NamedTuple):
    """A unit, and what starts it: ``preset``, ``wanted``, ``triggered`` or ``requested``."""

    name: str
    start: str


def read_units(top: Path) -> list[Unit]:
    """Return the units that the package enables, in the order in which they start.

    ``top`` is the project's directory.
    """
    lines = (top / _PAYLOAD / "units").read_text(encoding="utf-8").splitlines()
    return [Unit(*line.split()) for line in lines if not line.startswith("#")]


class Layout(NamedTuple):
    """A layout; ``description`` is for the man page, ``mount`` is its mount unit, if any."""

    name: str
    description: str
    mount: str | None


def read_layouts(top: Path) -> list[Layout]:
    """Return the layouts by name; the first lines of their files describe them."""
    return [
        _parse_layout(path.name, path.read_text(encoding="utf-8"))
        for path in sorted((top / _PAYLOAD / "layouts").iterdir())
    ]


def _parse_layout(name: str, text: str) -> Layout:
    lines = text.splitlines()
    description = [line.removeprefix("# ") for line in lines[: lines.index("#")]]
    mounts = [line.partition("=")[2] for line in lines if line.startswith("NIX_AURORA_MOUNT=")]
    own = [mount for mount in mounts if mount != "nix.mount"]
    return Layout(name, "\n".join(description), own[0] if own else None)


def read_fedora_packages(top: Path) -> list[str]:
    """Return the packages of Fedora's own Nix, which have the same files and units."""
    return (top / _PAYLOAD / "fedora-packages").read_text(encoding="utf-8").split()


def list_unit_files(top: Path) -> list[str]:
    """Return every unit file and link of the package, by its path below the units' directory."""
    directory = top / "payload/usr/lib/systemd/system"
    found = [path for path in directory.rglob("*") if path.is_symlink() or path.is_file()]
    return sorted(path.relative_to(directory).as_posix().removesuffix(".in") for path in found)
