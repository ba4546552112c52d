"""A /nix for a read-only root that has none: nix-aurora mount, on a booted system."""

import json

from tests.harness.nspawn import Host
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.whole import WHOLE, add_program, check_profile

_ENABLE = "nix-aurora mount enable --yes"


def _status(host: Host) -> dict[str, object]:
    status: dict[str, object] = json.loads(host.run("nix-aurora mount status --json").stdout)
    return status


def test_enabled_it_comes_with_the_next_boot_and_goes_with_the_one_after_disabling(
    make_nix_tree: NixTreeMaker, make_host: HostMaker
) -> None:
    host = make_host(make_nix_tree(nix_dir=False))
    host.boot()
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    host.run(_ENABLE)
    assert host.run("[ -e /nix ]", check=False).returncode == 1
    host.reboot()
    assert host.failed_units() == []
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    assert _status(host) == {
        **{"enabled": True, "root": "overlay", "mounted": True, "failed": False},
        **{"stopped": False, "switched_off": False, "laggards": []},
    }
    host.run(WHOLE)
    add_program(host)
    check_profile(host)
    host.run("nix-aurora mount disable")
    host.reboot()
    assert host.failed_units() == []
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
