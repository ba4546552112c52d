"""Test determinate-nixd in front of Nix: its sockets and settings, with a replacement program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.system import System
from tests.harness.tree import Tree, atomic_tree, layer_rpms
from tests.host.conftest import HostMaker
from tests.nixd import pinned
from tests.nixd_standin import ANSWER, HEADER
from tests.packages import fit_for_sample, sample
from tests.torture import chosen
from tests.whole import add_program, build, check_profile, check_whole

pytestmark = pytest.mark.long

_TOP = Path(__file__).parents[2]
_OWN, _NIXS = "determinate-nixd.socket", "nix-daemon.socket"
# These words mark faults in the output of scriptlets, except that systemctl disable --now warns
# that a unit's links have just changed.
_FAULTS = re.compile("error|warn(?!ing: The unit file)|fail|not found", re.IGNORECASE)
_OURS = "/usr/lib/nix-aurora/etc/nix/nix.conf"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the real package and, from the same build, nixd's."""
    tarball = sample("forky", "x86_64")
    place = tmp_path_factory.mktemp("nixd")
    with pinned(place) as served:
        command = ("rpm", "--quiet", "--with", "nixd", "--pins", served.pins(), "--level", "3")
        done = subprocess.run(
            [sys.executable, _TOP / "build.py", *command, "--source", tarball, "--out", place],
            env={**os.environ, **served.environment},
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        )
    # The first lines are the SRPM and the SELinux module.
    return [Path(line) for line in done.stdout.splitlines()[2:]]


def _tree(packages: list[Path], place: Path, *, layout: str) -> Tree:
    layered = layer_rpms(atomic_tree(), packages, place / "rpms")
    ask = f"echo STORE_LAYOUT={layout} >>/etc/nix-aurora.conf"
    return fit_for_sample(layered, place / "settings", more=ask)


def _nixd_serves(host: System) -> None:
    """Fail unless both sockets exist and answer, nix.conf is nixd's, and doctor finds no fault."""
    check_whole(host)
    assert host.run_as("tester", "determinate-nixd status").stdout == ANSWER
    for unit in (_OWN, _NIXS):
        assert host.run(f"systemctl is-active {unit}").stdout == "active\n"
    sockets = host.run("ls /var/lib/nix/var/determinate /var/lib/nix/var/nix/daemon-socket").stdout
    assert "determinate-nixd.socket\n" in sockets
    assert host.read("/etc/nix/nix.conf").startswith(HEADER)
    # A file that was moved there from nix.conf would include itself without end.
    assert "nix.custom.conf" not in host.read("/etc/nix/nix.custom.conf")


def _nix_serves(host: System) -> None:
    """Fail unless nothing of nixd's remains, nix.conf is ours, and doctor finds no fault."""
    check_whole(host)
    left = host.run(f"systemctl show --property=LoadState --value {_OWN}; ls /etc/nix").stdout
    assert left.split() == ["not-found", "nix.conf", "nix.custom.conf"]
    assert host.run(f"cmp {_OURS} /etc/nix/nix.conf").output == ""
    running = "systemctl show --property=MainPID --value nix-daemon.service"
    assert host.run(f"readlink /proc/$({running})/exe").stdout.endswith("/bin/nix\n")


def _rpm(host: Host, action: str) -> None:
    """Run rpm; fail if its scriptlets complain."""
    # systemd limits a unit to five starts in ten seconds, which only a test exceeds.
    host.run("systemctl reset-failed nix-daemon.service nix-daemon.socket || :")
    assert not _FAULTS.search(host.run(f"rpm --nosignature {action}").output)


@pytest.mark.parametrize("layout", chosen(["mount", "namespace"]))
def test_nixd_is_added_and_removed_with_an_image(
    layout: str,
    packages: list[Path],
    make_host: HostMaker,
    tmp_path: Path,
) -> None:
    with_nixd = _tree(packages, tmp_path / "with", layout=layout)
    without = _tree(packages[:1], tmp_path / "without", layout=layout)
    host = make_host(with_nixd)
    host.boot()
    assert host.read("/run/nix-aurora/layout") == f"{layout}\n"
    add_program(host)
    _nixd_serves(host)
    host.run("systemctl restart nix-daemon.service")
    _nixd_serves(host)
    host.reboot()
    _nixd_serves(host)

    host.reboot(without)
    _nix_serves(host)
    host.reboot(with_nixd)
    _nixd_serves(host)


def test_nixd_is_added_and_removed_on_a_running_host(
    tree: Tree, packages: list[Path], tmp_path: Path
) -> None:
    """Use rpm as on an ordinary host, without a reboot."""
    ours, nixd = (f"/root/{path.name}" for path in packages)
    with Host(tree, tmp_path / "host", ordinary=True) as host:
        for path in packages:
            host.copy_in(path, f"/root/{path.name}")
        host.run(
            f"""
            rpm --install --nosignature {ours}
            printf '%s\\n' '!include /nix/var/nix/gcroots/nix-aurora/nix/etc/nix/sandbox.conf' \\
                'substituters =' >/etc/nix/nix.custom.conf
            systemctl try-restart nix-daemon.service
            """
        )
        add_program(host)
        _nix_serves(host)

        _rpm(host, f"--install {nixd}")
        _nixd_serves(host)
        # Installing both packages again acts like an upgrade.
        _rpm(host, f"--upgrade --replacepkgs {ours} {nixd}")
        _nixd_serves(host)
        host.reboot()
        _nixd_serves(host)

        _rpm(host, "--erase nix-aurora-nixd")
        _nix_serves(host)
        host.reboot()
        _nix_serves(host)
        build(host)
        check_profile(host)
