"""Test that a unit which would mount another store on the new /nix is found before the move."""

from pathlib import Path

import pytest
from nix_aurora_host.former.facts import Kind
from nix_aurora_host.former.gather import find_former
from nix_aurora_host.former.mounter import find_mount_unit, find_mounter, is_mounter
from nix_aurora_host.former.tree import Tree

from tests.leftovers import DETERMINATE, Files, Link, write

_UNIT = "/etc/systemd/system/nix.mount"


@pytest.mark.parametrize(
    ("files", "path"),
    [
        (DETERMINATE, _UNIT),
        ({_UNIT: Link("/nix/x/nix.mount")}, _UNIT),
        ({"/etc/fstab": "/x /nix none bind\n"}, "/etc/fstab"),
        ({"/etc/fstab": "/x / ext4\n", _UNIT: Link("/dev/null")}, None),
        ({_UNIT: Link("/usr/lib/systemd/system/nix.mount")}, None),
        ({}, None),
    ],
)
def test_mounter_of_another_store_is_found(files: Files, path: str | None, tmp_path: Path) -> None:
    write(tmp_path, files)
    tree = Tree(str(tmp_path))
    found = find_mounter(tree)
    assert (found.path if found else None) == path
    traces = find_former(tree, "", ours=True).traces
    assert {trace.path for trace in traces if is_mounter(trace)} == ({path} if path else set())
    # A boot that requires the mount must find a /nix for it.
    unit = find_mount_unit(tree)
    assert unit == (found if found and found.kind is Kind.UNIT else None)
    write(tmp_path, {"/etc/systemd/system/local-fs.target.requires/nix.mount": Link(_UNIT)})
    assert find_mount_unit(tree) is None
