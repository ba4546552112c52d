"""Gather the state of graphics drivers: lines in tmpfiles.d, the link, and the root."""

import os

from nix_aurora_host import paths, system
from nix_aurora_host.gather.store import query
from nix_aurora_host.gpu import drivers, tmpfiles
from nix_aurora_host.gpu.facts import Gpu
from nix_aurora_host.gpu.nvidia import gather_nvidia

_VALID = "select count(*) from ValidPaths where path = ?"


def gather_gpu() -> Gpu:
    """Return the state of the drivers; this reads some files in tmpfiles.d."""
    text = system.read(paths.GPU_TMPFILES)
    installable, target = tmpfiles.parse(text or "")
    link = system.link(paths.GPU_LINK)
    roots = (system.link(f"{paths.GPU_ROOTS}/{name}") for name in _names())
    return Gpu(
        installable=installable,
        target=target,
        damaged=text is not None and target is None,
        link=link,
        occupied=link is None and os.path.lexists(paths.GPU_LINK),
        there=_is_there(target or link),
        valid=_is_valid(target) if target is not None else None,
        kept=tuple(root for root in roots if root is not None),
        others=tmpfiles.find_others(),
        nvidia=gather_nvidia(),
        provides=drivers.find_nvidia(target) if target is not None else None,
    )


def _is_there(path: str | None) -> bool:
    """Return whether ``path`` exists for programs of this layout's store."""
    if path is None:
        return True
    if tmpfiles.is_store_path(path) and not path.startswith(f"{paths.PREFIX}/"):
        return False
    return system.resolve(path) is not None


def _names() -> tuple[str, ...]:
    return system.names(paths.GPU_ROOTS) or ()


def _is_valid(target: str) -> bool | None:
    rows = query(_VALID, (target,))
    return bool(rows[0][0]) if rows else None
