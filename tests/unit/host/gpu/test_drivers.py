"""Test which output has drivers, and the version of NVIDIA's libraries."""

import pytest
from nix_aurora_host.gpu.drivers import choose, find_nvidia

from tests.unit.host.nix_database import A, B, Nix

_A, _B = f"/nix/store/{A}", f"/nix/store/{B}"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([f"{A}/share/vulkan/icd.d/lvp.json"], _A),
        ([f"{B}/lib/gbm/dri_gbm.so"], _B),
        ([f"{A}/lib/dri/iHD.so", f"{B}/share/glvnd/egl_vendor.d/50_mesa.json"], _B),
        ([f"{A}/etc/OpenCL/vendors/rusticl.icd"], _A),
        ([f"{A}/lib/libgbm.so", f"{B}/bin/x"], None),
    ],
)
def test_output_with_drivers_is_chosen(nix: Nix, files: list[str], found: str | None) -> None:
    for file in files:
        path = nix.store / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert choose([_A, _B]) == found


def test_drivers_behind_links_are_found_without_nix_on_the_host(nix: Nix) -> None:
    """A buildEnv has such links, and in the namespace layout the host has no /nix."""
    (nix.store / B / "share/vulkan/icd.d").mkdir(parents=True)
    (nix.store / B / "share/vulkan/icd.d/x.json").touch()
    (nix.store / A).mkdir()
    (nix.store / A / "share").symlink_to(f"{_B}/share")
    assert choose([_A]) == _A


def test_empty_directory_has_no_drivers(nix: Nix) -> None:
    (nix.store / A / "lib/dri").mkdir(parents=True)
    assert choose([_A]) is None


def test_version_of_nvidia_libraries_is_read_from_their_names(nix: Nix) -> None:
    assert find_nvidia(_A) is None
    (nix.store / A / "lib").mkdir(parents=True)
    for name in ("libGLX_nvidia.so.0", "libvulkan.so.1.4.3", "libGLX_nvidia.so.570.153.02"):
        (nix.store / A / "lib" / name).touch()
    assert find_nvidia(_A) == "570.153.02"
