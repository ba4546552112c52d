"""Test that a loaded NVIDIA module works only with libraries of its own version."""

from pathlib import Path

import pytest
from nix_aurora_host.gpu.facts import Nvidia
from nix_aurora_host.gpu.nvidia import describe, find_reason, gather_nvidia

_ALONE, _HYBRID = Nvidia("570.153.02"), Nvidia("570.153.02", ("i915",))
_PROC = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.153.02  Release Build\n"
    "GCC version:  gcc version 15.1.1 20250521\n"
)


def _card(top: Path, name: str, driver: str) -> None:
    place = top / "sys/class/drm" / name / "device"
    place.mkdir(parents=True)
    (place / "driver").symlink_to(f"/sys/bus/pci/drivers/{driver}")


@pytest.mark.parametrize(
    ("path", "text"),
    [("sys/module/nvidia/version", "570.153.02\n"), ("proc/driver/nvidia/version", _PROC)],
)
def test_module_and_other_gpus_are_found(tmp_path: Path, path: str, text: str) -> None:
    assert gather_nvidia(str(tmp_path)) == Nvidia()
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text)
    _card(tmp_path, "card1", "nvidia")
    assert gather_nvidia(str(tmp_path)) == _ALONE
    _card(tmp_path, "card0", "i915")
    _card(tmp_path, "card0-HDMI-A-1", "xe")
    assert gather_nvidia(str(tmp_path)) == _HYBRID


def test_other_gpus_are_ignored_without_the_module(tmp_path: Path) -> None:
    _card(tmp_path, "card0", "nouveau")
    assert gather_nvidia(str(tmp_path)) == Nvidia()


@pytest.mark.parametrize(
    ("found", "provides", "software", "refused"),
    [
        (Nvidia(), None, False, False),
        (Nvidia(), "570.1", False, False),
        (_ALONE, None, False, True),
        (_ALONE, None, True, False),
        (_ALONE, "570.153.02", False, False),
        (_ALONE, "565.77", True, True),
        (_HYBRID, None, False, False),
        (_HYBRID, "565.77", False, True),
    ],
)
def test_drivers_that_cannot_work_are_refused(
    found: Nvidia, provides: str | None, software: bool, refused: bool
) -> None:
    reason = find_reason(found, provides, software=software)
    assert (reason is not None) == refused
    if reason is not None:
        assert "570.153.02" in reason


@pytest.mark.parametrize(
    ("found", "provides", "words"),
    [
        (Nvidia(), None, None),
        (_ALONE, None, "in software"),
        (_HYBRID, None, "of i915, and not NVIDIA's"),
        (_ALONE, "570.153.02", "as the kernel module"),
        (_ALONE, "565.77", "565.77, and the kernel module is 570.153.02"),
    ],
)
def test_description_names_what_programs_use(
    found: Nvidia, provides: str | None, words: str | None
) -> None:
    said = describe(found, provides)
    assert said is None if words is None else words in (said or "")
