"""Test gpu enable: a Vulkan program finds drivers from the store, and disable leaves nothing."""

import json
import shlex
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.harness.roots import GRAPHICS
from tests.harness.tree import Tree, atomic_tree, layer_rpms
from tests.host.doctor import cure, doctor
from tests.host.drivers import HIDE_DRIVERS, LINK, LOOK, nixpkgs
from tests.packages import PackageMaker, fit_for_sample
from tests.readme import commands
from tests.whole import check_store

pytestmark = pytest.mark.long

_DRIVER = "/usr/share/hidden/libvulkan_lvp.so"
_LINE, _ROOTS = "/etc/tmpfiles.d/nix-aurora-gpu.conf", "/var/lib/nix/var/nix/gcroots"
_UNIT = "/etc/systemd/system/non-nixos-gpu.service"
_HOME_MANAGER = f"""\\
[Install]
WantedBy=multi-user.target
[Service]
Type=oneshot
ExecStart=ln -nsf /somewhere {LINK}
RemainAfterExit=yes
"""
# The list leaves out directories that appear at any time: Nix creates per-user for its users, and
# systemd creates agetty.reload for a terminal.
_TREES = f"""
find /etc {_ROOTS} -name per-user -prune -o -printf '%p %l\\n'
find /run -mindepth 1 -maxdepth 1 ! -name agetty.reload -printf '%p %l\\n'
"""
_ENABLE = "sudo nix-aurora gpu enable"


@pytest.fixture(scope="module")
def trees(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tree]:
    """Return hosts with a Vulkan loader and no driver, with an older package and a newer one."""
    place, base = tmp_path_factory.mktemp("trees"), atomic_tree(nix_dir=True, extra=(GRAPHICS,))
    made = {}
    for suite in ("trixie", "forky"):
        layered = layer_rpms(base, [package(suite)], place / f"{suite}-rpms")
        made[suite] = fit_for_sample(layered, place / f"{suite}-settings", more=HIDE_DRIVERS)
    return made


@pytest.fixture(scope="module")
def host(trees: dict[str, Tree], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Return a host with the older package, whose users have a nixpkgs."""
    place = tmp_path_factory.mktemp("gpu")
    with Host(trees["trixie"], place / "host") as host:
        host.run(nixpkgs(version="1.0", driver=_DRIVER))
        yield host


def _trees(host: Host) -> set[str]:
    """Return the files at the places where gpu enable writes, and the targets of links."""
    return set(host.run(_TREES).stdout.splitlines())


def _status(host: Host) -> dict[str, object]:
    return dict(json.loads(host.run_as("other", "nix-aurora gpu status --json").stdout))


def _check_found(host: Host, drivers: object) -> None:
    """Fail unless a user's program loads the drivers from their store path."""
    seen = host.run_as("tester", LOOK)
    assert "deviceName         = llvmpipe" in seen.stdout
    assert f"{drivers}/lib/libvulkan_lvp.so" in seen.output
    status = _status(host)
    assert (status["drivers"], status["faults"]) == (drivers, [])
    assert (status["linked"], status["rooted"], status["valid"]) == (True, True, True)


def test_drivers_survive_collection_reboot_and_upgrades(host: Host, trees: dict[str, Tree]) -> None:
    before = _trees(host)
    assert host.run_as("tester", LOOK, check=False).returncode != 0
    assert f"  {LINK}\n" in host.run_as("tester", "nix-aurora gpu enable --dry-run").stderr
    assert _trees(host) == before

    host.run_as("tester", _ENABLE)
    first = host.run(f"readlink {LINK}").stdout.strip()
    assert _status(host)["installable"] == "nixpkgs#mesa"
    _check_found(host, first)
    host.run("nix-collect-garbage -d")
    _check_found(host, first)

    host.reboot(trees["forky"])
    check_store(host)
    host.run("nix-collect-garbage -d")
    _check_found(host, first)
    assert "is up to date" in host.run_as("tester", _ENABLE).stderr

    host.run(nixpkgs(version="1.1", driver=_DRIVER))
    host.run_as("tester", _ENABLE)
    second = host.run(f"readlink {LINK}").stdout.strip()
    assert second.endswith("-mesa-1.1")
    host.run(f"nix-collect-garbage -d; [ ! -e {first} ]")
    _check_found(host, second)
    assert doctor(host, "root") == []

    host.run_as("tester", "sudo nix-aurora gpu disable")
    assert not [line for line in _trees(host) if "gpu" in line or LINK in line or second in line]
    host.run(f"nix-collect-garbage -d; [ ! -e {second} ]")
    assert _status(host)["enabled"] is False


def test_disable_leaves_nothing(host: Host) -> None:
    host.run("nix-aurora gpu disable")
    before = _trees(host)
    host.run_as("tester", _ENABLE)
    assert {line.split()[0] for line in _trees(host) - before} >= {LINK, _LINE}
    host.run_as("tester", "sudo nix-aurora gpu disable")
    assert _trees(host) == before


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("gpu-lost", f"rm -r {_ROOTS}/nix-aurora-gpu; nix-collect-garbage -d"),
        ("gpu-unrooted", f"rm -r {_ROOTS}/nix-aurora-gpu"),
        ("gpu-unlinked", f"rm {LINK}"),
        ("gpu-damaged", f"sed -i 's,^L .*,nonsense,' {_LINE}"),
        ("gpu-conflict", f"ln -s /nix/store/gone/non-nixos-gpu.service {_UNIT}"),
    ],
)
def test_doctor_reports_each_fault_and_its_fix_cures_it(host: Host, kind: str, fault: str) -> None:
    host.run(f"nix-aurora gpu enable nixpkgs#mesa-24; {fault}")
    found = doctor(host)
    assert [finding["id"] for finding in found] == [kind]
    assert found[0]["message"] in host.run("nix-aurora status").stdout
    cure(host, found)
    host.run(f"rm -f {_UNIT}")
    status = _status(host)
    if kind != "gpu-conflict":
        assert (status["installable"], status["linked"]) == ("nixpkgs#mesa-24", True)


def test_package_without_drivers_is_refused(host: Host) -> None:
    host.run("nix-aurora gpu disable")
    before = _trees(host)
    without = host.run_as("tester", f"{_ENABLE} nixpkgs#hello", check=False)
    assert "expected one of share/glvnd/egl_vendor.d, " in without.stderr
    assert _trees(host) == before


def test_home_managers_link_stays_until_it_is_removed_as_documented(host: Host) -> None:
    """The setup program of Home Manager creates a unit, which creates the link at each boot."""
    host.run(f"nix-aurora gpu disable; printf {shlex.quote(_HOME_MANAGER)} >/root/unit")
    host.run(f"ln -s /root/unit {_UNIT}; systemctl enable --now {_UNIT}")
    refused = host.run_as("tester", _ENABLE, check=False)
    assert f"cannot enable the drivers: {_UNIT} (Home Manager's unit)" in refused.stderr
    assert "not enabled; nothing was changed" in host.run("nix-aurora gpu disable").stderr
    assert _status(host)["link"] == "/somewhere"
    for command in commands("Home Manager's link", "docs/graphics.md"):
        host.run_as("tester", command)
    host.run_as("tester", _ENABLE)
    assert _status(host)["linked"] is True


def test_purge_leaves_no_line_and_no_link(host: Host) -> None:
    host.run_as("tester", _ENABLE)
    shown = host.run("nix-aurora purge --dry-run").stderr
    assert f"{_LINE}: would be removed\n" in shown
    host.run(f"nix-aurora purge --yes; [ ! -e {_LINE} ]; [ ! -L {LINK} ]")
