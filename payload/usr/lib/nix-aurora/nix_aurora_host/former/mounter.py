"""Find what would make boots mount another store on /nix, before the system gets a /nix."""

from nix_aurora_host import paths
from nix_aurora_host.former.facts import Kind, Trace
from nix_aurora_host.former.mounts import FSTAB, find_lines
from nix_aurora_host.former.tree import Tree
from nix_aurora_host.former.units import look_at_unit

_REQUIRED = "local-fs.target.requires/nix.mount"


def find_mounter(tree: Tree) -> Trace | None:
    """Return the unit, or the lines of /etc/fstab, that mount another store on /nix."""
    return find_mount_unit(tree) or find_lines(tree.read(FSTAB) or "")


def find_mount_unit(tree: Tree) -> Trace | None:
    """Return the unit that mounts another store on /nix, if boots succeed without that mount.

    A boot needs the mounts in /etc/fstab, and those that local-fs.target requires.
    """
    if any(tree.exists(f"{folder}/{_REQUIRED}") for folder in paths.UNIT_FOLDERS):
        return None
    for folder in paths.UNIT_FOLDERS:
        for name in paths.NIX_MOUNTERS:
            if trace := look_at_unit(tree, folder, name):
                return trace
    return None


def is_mounter(trace: Trace) -> bool:
    """Return whether a trace makes boots mount another store on /nix."""
    if trace.kind is Kind.UNIT:
        return trace.unit in paths.NIX_MOUNTERS
    return trace.kind is Kind.FSTAB
