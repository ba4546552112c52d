"""Descriptions of the state of the graphics drivers, and of its faults."""

from collections.abc import Iterator
from enum import Enum

from nix_aurora_host import paths
from nix_aurora_host.gpu import nvidia
from nix_aurora_host.gpu.facts import Gpu
from nix_aurora_host.text import printable


class Fault(Enum):
    """The kinds of faults of the drivers."""

    DAMAGED = "damaged"
    CONFLICT = "conflict"
    LOST = "lost"
    UNROOTED = "unrooted"
    UNLINKED = "unlinked"
    FOREIGN_LOST = "foreign lost"
    NVIDIA = "NVIDIA"


def name(path: str) -> str:
    """Return the name of a store path for people."""
    return printable(paths.store_name(path))


def find_others(gpu: Gpu) -> list[str]:
    """Return the other files and programs that set the link, or would set it."""
    found = [f"{printable(other.path)} ({other.what})" for other in gpu.others]
    if not gpu.foreign:
        return found
    what = "it is no link" if gpu.link is None else f"it leads to {printable(gpu.link)}"
    return [*found, f"{paths.GPU_LINK} ({what})"]


def find_faults(gpu: Gpu) -> Iterator[tuple[Fault, str]]:
    """Yield the faults, causes first. Each message is one line."""
    if not gpu.enabled:
        if gpu.link is not None and not gpu.there:
            message = f"{paths.GPU_LINK} leads to {printable(gpu.link)}, which is missing"
            yield Fault.FOREIGN_LOST, message
        return
    if others := find_others(gpu):
        message = f"graphics drivers are set by nix-aurora gpu and by {', '.join(others)}"
        yield Fault.CONFLICT, message
        return
    if gpu.target is None:
        message = f"{paths.GPU_TMPFILES} is damaged: expected one line for {paths.GPU_LINK}"
        yield Fault.DAMAGED, message
        return
    if not gpu.there or gpu.valid is False:
        message = f"graphics drivers: {printable(gpu.target)} is not in the store any more"
        yield Fault.LOST, message
    elif gpu.target not in gpu.kept:
        message = (
            f"graphics drivers: the next garbage collection can delete {printable(gpu.target)}"
        )
        yield Fault.UNROOTED, message
    elif gpu.link != gpu.target:
        where = "is missing" if gpu.link is None else "leads to the former drivers"
        yield Fault.UNLINKED, f"{paths.GPU_LINK} {where}: expected {printable(gpu.target)}"
    elif nvidia.find_reason(gpu.nvidia, gpu.provides, software=True):
        message = nvidia.describe(gpu.nvidia, gpu.provides) or ""
        yield Fault.NVIDIA, f"graphics drivers: {message}"


def explain(gpu: Gpu) -> list[str]:
    """Return the lines about the state."""
    return [*_explain(gpu), *(message for _, message in find_faults(gpu))]


def _explain(gpu: Gpu) -> Iterator[str]:
    if gpu.target is not None:
        yield f"{name(gpu.target)}, of {printable(gpu.installable) or 'an unknown installable'}"
        if line := nvidia.describe(gpu.nvidia, gpu.provides):
            yield line
    elif gpu.damaged:
        yield "enabled"
    elif others := find_others(gpu):
        yield f"set by {', '.join(others)}, which nix-aurora leaves alone"
    else:
        yield "no drivers for programs of nixpkgs: sudo nix-aurora gpu enable"
    if gpu.target is None and gpu.kept:
        yield (
            f"{', '.join(map(name, gpu.kept))}: kept in the store, but not linked in this "
            "deployment; to link or remove it: sudo nix-aurora gpu enable, or disable"
        )
