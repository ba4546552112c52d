"""Test an ordinary host: its root is writable, and rpm changes it while it runs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.packages import LIVE_SETTINGS, PackageMaker
from tests.whole import add_program, build, check_profile, check_whole, derivation, version

pytestmark = pytest.mark.long

_FAULTS = re.compile("error|warn|fail|not found", re.IGNORECASE)  # faults that scriptlets print
_TIMER = "nix-database-backup.timer"
_UNITS = f"nix-layout.service nix.mount nix-setup.service nix-daemon.socket {_TIMER}"


@pytest.fixture(scope="module")
def host(
    tree: Tree, package: PackageMaker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """Yield a host that has booted, without the package and without /nix."""
    with Host(tree, tmp_path_factory.mktemp("ordinary") / "host", ordinary=True) as host:
        for suite in ("trixie", "forky"):
            host.copy_in(package(suite), f"/root/{suite}.rpm")
        yield host


def _rpm(host: Host, action: str) -> str:
    # systemd limits a unit to five starts in ten seconds, which only a test exceeds.
    host.run("systemctl reset-failed nix-daemon.service nix-daemon.socket || :")
    said = host.run(f"rpm --nosignature {action}").output
    assert not _FAULTS.search(said)
    return said


def _install(host: Host, action: str, suite: str) -> None:
    _rpm(host, f"{action} /root/{suite}.rpm")
    host.run(f"grep -q sandbox /etc/nix/nix.custom.conf || {{ {LIVE_SETTINGS} }}")


def test_package_is_installed_upgraded_and_erased_without_a_reboot(host: Host) -> None:
    """Let one host pass through all states, from the first package to the last."""
    # It works at once, without a reboot.
    _install(host, "--install", "trixie")
    assert host.run(f"systemctl is-active {_UNITS}").stdout.split() == ["active"] * 5
    add_program(host)
    check_whole(host)
    assert version(host) == "2.26.3"
    host.run("nix-aurora gc enable")

    # A newer package is installed during a build: the build succeeds, and the next client connects
    # to the newer daemon.
    log = "/var/home/tester/build.log"
    held = derivation("trap 'echo held >$out; exit' USR1; echo started; while :; do :; done")
    host.run_as(
        "tester",
        f"(nix build --impure -o held -L --expr {held}; echo code $?) >{log} 2>&1 </dev/null &",
    )
    host.run(f"until grep -q started {log}; do sleep 0.05; done")
    host.run(f"systemctl stop {_TIMER}")  # like an older package without this timer
    _install(host, "--upgrade", "forky")
    assert host.run(f"systemctl is-active {_TIMER}").stdout == "active\n"
    check_whole(host)
    assert version(host) == "2.34.8"
    assert host.run("systemctl is-enabled nix-gc.timer").stdout == "enabled\n"
    host.run(f"pkill -USR1 --group nixbld; until grep ^code {log}; do sleep 0.05; done")
    assert host.read(log).splitlines()[-1] == "code 0"
    assert host.run_as("tester", "cat held").stdout == "held\n"

    _install(host, "--upgrade --oldpackage", "trixie")
    check_whole(host)
    assert version(host) == "2.26.3"
    _install(host, "--upgrade --replacepkgs", "trixie")
    check_whole(host)

    # Without the package the store stays, and so does the result of a user's build.
    said = host.run("rpm --erase nix-aurora").output
    assert "your store and profiles are kept in /var/lib/nix" in said
    for unit in (*_UNITS.split(), "nix-daemon.service"):
        assert host.run(f"systemctl is-active {unit}", check=False).stdout != "active\n"
    assert host.run("systemctl list-units --state=failed --no-legend").stdout == ""
    assert host.run("find /etc -name '*nix-gc*' -o -name nix.gc.conf").stdout == ""
    assert host.run("pgrep nix-daemon", check=False).stdout == ""
    assert host.run("findmnt /nix", check=False).stdout == ""
    assert host.run("ls /var/lib/nix/store/*/bin/greet").stdout

    _install(host, "--install", "forky")
    check_whole(host)
    assert host.run_as("tester", "cat held").stdout == "held\n"

    # The host also boots without the package.
    host.reboot()
    check_whole(host)
    assert build(host)
    check_profile(host)


def test_masked_units_stay_masked(host: Host) -> None:
    """Keep an administrator's mask through a new installation."""
    host.run("systemctl stop nix-daemon.socket nix-daemon.service")
    host.run("systemctl mask nix-daemon.socket; systemctl disable nix-setup.service")
    _rpm(host, "--upgrade --replacepkgs /root/forky.rpm")
    assert host.run("systemctl is-active nix-daemon.socket", check=False).stdout == "inactive\n"
    assert host.run("systemctl is-enabled nix-setup.service", check=False).stdout == "disabled\n"


def test_nothing_is_started_without_a_running_system(tree: Tree, package: PackageMaker) -> None:
    """Let scriptlets call systemctl only to prepare the next boot."""
    rpm: Path = package("forky")
    with tree.scratch() as scratch:
        scratch.run("mkdir -p /var/home /var/roothome")
        scratch.copy_in(rpm, "/run/nix-aurora.rpm")
        scratch.run(
            """
            mv /usr/bin/systemctl /usr/bin/systemctl.real
            cat >/usr/bin/systemctl <<'END'
#!/bin/sh
echo "$*" >>/run/calls
exec /usr/bin/systemctl.real "$@"
END
            chmod +x /usr/bin/systemctl
            """
        )
        for action in ("--install", "--upgrade --replacepkgs"):
            done = scratch.run(f"rpm {action} --nosignature /run/nix-aurora.rpm")
            assert not _FAULTS.search(done.output)
        said = scratch.run("rpm --erase --nosignature nix-aurora").output
        assert not _FAULTS.search(said)
        assert "/var/lib/nix" not in said  # no store exists that would need a message
        calls = scratch.read("/run/calls").splitlines()
        assert calls[0].startswith("--no-reload preset ")
        # Only links in /etc change.
        assert {call.split()[1] for call in calls} <= {"preset", "disable"}
        assert not any("--now" in call for call in calls)
