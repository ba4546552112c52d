"""NVIDIA's proprietary driver, with libraries that need the kernel module of the same version."""

import re
from collections.abc import Iterator
from pathlib import Path

from nix_aurora_host.gpu.facts import Nvidia
from nix_aurora_host.system import names, read

WAYS = "Home Manager (targets.genericLinux.gpu.nvidia) and nixGL can build the right ones"

_MODULE, _PROC, _DRM = "/sys/module/nvidia/version", "/proc/driver/nvidia/version", "/sys/class/drm"
_VERSION = re.compile(r"\b\d{3,}\.\d+(?:\.\d+)?\b")
_CARD = re.compile(r"card\d+")
# Kernel drivers of GPUs that a host can have beside one of NVIDIA.
_MESA = frozenset({"amdgpu", "i915", "nouveau", "radeon", "xe"})


def gather_nvidia(top: str = "") -> Nvidia:
    """Return the loaded drivers, from /proc and /sys in the tree ``top``."""
    text = read(f"{top}{_MODULE}") or read(f"{top}{_PROC}") or ""
    version = _VERSION.search(text)
    if version is None:
        return Nvidia()
    return Nvidia(version[0], tuple(sorted({*_find_others(f"{top}{_DRM}")})))


def _find_others(drm: str) -> Iterator[str]:
    for card in names(drm) or ():
        if not _CARD.fullmatch(card):
            continue  # a connector of a GPU
        driver = Path(f"{drm}/{card}/device/driver").resolve().name
        if driver in _MESA:
            yield driver


def find_reason(nvidia: Nvidia, provides: str | None, *, software: bool) -> str | None:
    """Return why drivers cannot work here, if NVIDIA's libraries have the version ``provides``."""
    if nvidia.module is None or provides == nvidia.module:
        return None
    if provides is not None:
        return (
            f"expected NVIDIA's libraries {nvidia.module}, the version of the kernel module, got "
            f"{provides}"
        )
    if nvidia.others or software:
        return None
    return (
        f"NVIDIA's kernel module {nvidia.module} drives the GPU, and works only with NVIDIA's own "
        f"libraries of version {nvidia.module}"
    )


def describe(nvidia: Nvidia, provides: str | None) -> str | None:
    """Return what programs use if NVIDIA's module is loaded; None if it is not."""
    if nvidia.module is None:
        return None
    if provides == nvidia.module:
        return f"NVIDIA's libraries {provides}, as the kernel module"
    if provides is not None:
        return f"NVIDIA's libraries are {provides}, and the kernel module is {nvidia.module}"
    if nvidia.others:
        return f"programs use the GPU of {', '.join(nvidia.others)}, and not NVIDIA's"
    return "programs render in software: the drivers are not NVIDIA's"
