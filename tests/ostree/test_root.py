"""Test that a root directory of ours keeps the stock host's properties, on a deployment."""

import pytest

from tests.harness.deployment import Deployment
from tests.nix_root import ROOT_OFF
from tests.ostree.conftest import KINDS, DeploymentMaker
from tests.ostree.test_mount import check_everywhere, is_as_before
from tests.torture import chosen
from tests.whole import add_program, check_profile

# Installers write such a line for /, and systemd-remount-fs.service remounts / with it.
_LINES = {
    "defaults": "LABEL=root / ext4 defaults 0 1",
    "btrfs": "LABEL=root / btrfs subvol=root,compress=zstd:1 0 0",
    "ro": "LABEL=root / ext4 ro 0 1",
}


def _mount_of_root(host: Deployment) -> list[str]:
    columns = "FSTYPE,SOURCE,VFS-OPTIONS"
    return host.run(f"findmnt --noheadings --output {columns} /").stdout.split()


@pytest.mark.parametrize("kind", chosen(list(KINDS)))
def test_root_keeps_its_mount(kind: str, make_deployment: DeploymentMaker) -> None:
    """Compare the mount's source, type and options, and the failed units, with the stock host's."""
    host = make_deployment("nix-forky", arguments=KINDS[kind])
    host.boot(arguments=ROOT_OFF)
    stock = _mount_of_root(host)
    add_program(host)
    is_as_before(host)
    for line in ("", *_LINES.values()):
        host.run(f"echo '{line}' >/etc/fstab")
        host.reboot(arguments=ROOT_OFF)
        failed = host.failed_units()
        host.reboot()
        assert host.failed_units() == failed, line
        assert _mount_of_root(host) == stock, line
        host.run("[ ! -w / ]; ! touch /x; [ ! -w /usr ]")
        assert host.read("/run/nix-aurora/root") == f"{kind}\n"
        check_profile(host)
    host.run("rm /etc/fstab; systemctl daemon-reload; systemctl reset-failed")
    check_everywhere(host, kind)


@pytest.mark.parametrize("kind", chosen(list(KINDS)))
def test_disable_restores_the_root_and_enable_moves_it(
    kind: str, make_deployment: DeploymentMaker
) -> None:
    host = make_deployment("nix-forky", arguments=KINDS[kind])
    host.boot()
    add_program(host)
    host.run("nix-aurora mount disable")
    host.reboot()
    is_as_before(host)
    host.run("nix-aurora mount enable --yes --now")
    check_everywhere(host, kind)
    host.reboot()
    check_everywhere(host, kind)


@pytest.mark.parametrize("target", ["rescue", "emergency", "system-update"])
def test_other_targets_do_not_move(target: str, make_deployment: DeploymentMaker) -> None:
    host = make_deployment("nix-forky")
    host.boot(arguments=f"systemd.unit={target}.target", wait=False)
    host.run(f"until systemctl --quiet is-active {target}.target; do sleep 0.1; done")
    host.run("[ ! -e /nix ]; [ ! -e /run/nix-aurora/root ]")
