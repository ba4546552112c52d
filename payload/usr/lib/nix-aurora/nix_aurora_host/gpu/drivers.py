"""What a store path has for /run/opengl-driver: drivers, and of which version NVIDIA's are."""

import re
from collections.abc import Sequence

from nix_aurora_host import system

# Where the loaders of nixpkgs look, the most telling ones first. In nixpkgs: libglvnd and
# vulkan-loader have the first two in their package.nix, mesa's libgbm, libva and libvdpau the next,
# ocl-icd the last.
PLACES = (
    *("share/glvnd/egl_vendor.d", "share/vulkan/icd.d", "lib/gbm", "lib/dri", "lib/vdpau"),
    "etc/OpenCL/vendors",
)
_NVIDIA = re.compile(r"lib(?:GLX_nvidia|EGL_nvidia|nvidia-glcore)\.so\.(\d+\.\d+(?:\.\d+)?)")


def choose(outputs: Sequence[str]) -> str | None:
    """Return the output that has the drivers; None where none of them has any."""
    for place in PLACES:
        for output in outputs:
            if _names(f"{output}/{place}"):
                return output
    return None


def find_nvidia(output: str) -> str | None:
    """Return the version of NVIDIA's libraries in a store path; None where it has none."""
    for name in _names(f"{output}/lib"):
        if match := _NVIDIA.fullmatch(name):
            return match[1]
    return None


def _names(directory: str) -> tuple[str, ...]:
    """Return what a directory has, which may be a link to one of another store path."""
    place = system.resolve(directory)
    return (system.names(place) if place is not None else None) or ()
