"""Test reading a takeover that has started, or that waits for a boot."""

import pytest
from nix_aurora_host.gather.adoption import find_disk
from nix_aurora_host.mounts import Mount

_LINE = "# one\nLABEL=nix {} ext4 {} 0 0\n"
_BASE = "/var/lib/nix"


@pytest.mark.parametrize("point", [_BASE, f"{_BASE}/", "/var/disk"])
def test_disk_in_fstab_is_named_until_it_is_mounted(point: str) -> None:
    text = _LINE.format(point, "noatime")
    base = "/var/disk" if point == "/var/disk" else _BASE
    assert find_disk(text, [Mount("/var"), Mount("/nix")], base) == "LABEL=nix"
    assert find_disk(text, [Mount("/var"), Mount(base)], base) is None


@pytest.mark.parametrize(("point", "options"), [("/nix", "noatime"), (_BASE, "noauto,noatime")])
def test_other_lines_are_ignored(point: str, options: str) -> None:
    assert find_disk(_LINE.format(point, options), [], _BASE) is None
