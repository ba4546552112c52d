"""Look for leftovers of another Nix on the host; read-only, and for any user."""

from dataclasses import replace
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.former.facts import Former
from nix_aurora_host.former.files import find_files
from nix_aurora_host.former.hidden import find_hidden
from nix_aurora_host.former.mounts import FSTAB, find_lines, find_mount
from nix_aurora_host.former.scripts import find_scripts
from nix_aurora_host.former.stores import find_stores, sources
from nix_aurora_host.former.tree import Tree
from nix_aurora_host.former.units import find_units
from nix_aurora_host.system import read


def gather_former() -> Former:
    """Return all leftovers of another Nix on this host."""
    ours = is_ours()
    found = find_former(Tree(), read("/proc/self/mountinfo") or "", ours=ours)
    return replace(found, stores=(*found.stores, *find_hidden())) if ours else found


def is_ours() -> bool:
    """Return whether /nix is /var/lib/nix."""
    nix, base = Path("/nix"), Path(paths.BASE)
    return nix.is_dir() and base.is_dir() and nix.samefile(base)


def find_former(tree: Tree, mountinfo: str, *, ours: bool) -> Former:
    """Return the leftovers of another Nix in ``tree``, in the order in which they are put aside."""
    lines = find_lines(tree.read(FSTAB) or "")
    mount = None if ours else find_mount(mountinfo)
    traces = (
        *find_units(tree),
        *([lines] if lines else []),
        *([mount] if mount else []),
        *find_files(tree, ours=ours),
        *find_scripts(tree),
    )
    stores = tuple(find_stores(tree, ours=ours, lines=sources(tree)))
    return Former(traces, stores)
