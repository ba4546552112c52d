"""The drivers in a store path for /run/opengl-driver, and the version of those of NVIDIA."""

import re
from collections.abc import Sequence

from nix_aurora_host import system

# The places in which the loaders of nixpkgs look, the most significant first. In nixpkgs, the first
# two are in package.nix of libglvnd and vulkan-loader, the next in that of mesa's libgbm, libva and
# libvdpau, the last in that of ocl-icd.
PLACES = (
    *("share/glvnd/egl_vendor.d", "share/vulkan/icd.d", "lib/gbm", "lib/dri", "lib/vdpau"),
    "etc/OpenCL/vendors",
)
_NVIDIA = re.compile(r"lib(?:GLX_nvidia|EGL_nvidia|nvidia-glcore)\.so\.(\d+\.\d+(?:\.\d+)?)")


def choose(outputs: Sequence[str]) -> str | None:
    """Return the output that contains the drivers; None if no output does."""
    for place in PLACES:
        for output in outputs:
            if _names(f"{output}/{place}"):
                return output
    return None


def find_nvidia(output: str) -> str | None:
    """Return the version of NVIDIA's libraries in a store path; None if it contains none."""
    for name in _names(f"{output}/lib"):
        if match := _NVIDIA.fullmatch(name):
            return match[1]
    return None


def _names(directory: str) -> tuple[str, ...]:
    """Return the names in a directory, which may be a link into another store path."""
    place = system.resolve(directory)
    return (system.names(place) if place is not None else None) or ()
