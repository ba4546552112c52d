"""File systems in files. A host mounts them with the loop devices of this machine."""

import subprocess
from pathlib import Path

from tests.harness.nspawn import Host
from tests.harness.tree import Tree

_LOOPS = ("/dev/loop-control", *map(str, sorted(Path("/dev").glob("loop[0-9]*"))))
# This runs on this machine, in a separate mount namespace: $1 is the image, $2 an empty directory.
_SUBVOLUME = """
set -eu
truncate --size=512M "$1"
mkfs.btrfs --quiet "$1"
mount -o loop "$1" "$2"
btrfs --quiet subvolume create "$2/nix"
"""


def make_host(tree: Tree, place: Path) -> Host:
    """Return a host that is off, and that can use loop devices."""
    return Host(tree, place, flags=[f"--bind={device}" for device in _LOOPS])


def make_disk(place: Path, name: str) -> None:
    """Create a btrfs with a subvolume ``nix`` in a file of the host whose state is ``place``."""
    empty = place / "empty"
    empty.mkdir(exist_ok=True)
    make = ["unshare", "--mount", "sh", "-c", _SUBVOLUME, "make"]
    subprocess.run([*make, place / f"var/{name}", empty], check=True)
