"""Test that nix-aurora doctor finds each fault, and that its fix, run literally, cures it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker
from tests.host.doctor import Hosts, build, check, cure, doctor, faults
from tests.host.scenarios import SCENARIOS_OF_USERS, Scenario, of_each_kind
from tests.host.store import DAMAGE


@pytest.fixture(scope="module")
def hosts(nix_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    hosts = Hosts(nix_tree, tmp_path_factory.mktemp("doctor"))
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts) -> Host:
    """Return a healthy host."""
    return hosts.healthy()


def test_healthy_host_has_no_findings(host: Host) -> None:
    for user in ("tester", "other"):
        assert doctor(host, user) == []
    assert "nix-aurora doctor: all is well\n" in host.run("nix-aurora doctor").stdout
    build(host)


@pytest.mark.parametrize(
    "scenario", of_each_kind(SCENARIOS_OF_USERS), ids=lambda scenario: scenario.name
)
def test_fault_is_found_and_its_fix_cures_it(hosts: Hosts, scenario: Scenario) -> None:
    check(hosts, scenario)


def test_line_that_nix_refuses_becomes_a_comment_with_a_copy(host: Host) -> None:
    own = "/etc/nix/nix.custom.conf"
    host.run(f"cp {own} /tmp/custom; printf 'max-jobs = lots\\ncores = 1\\n' >>{own}")
    line = len(host.read(own).splitlines()) - 1
    (found,) = doctor(host)
    assert found["message"] == (
        f"Nix does not understand {own}, line {line}: "
        "configuration setting 'max-jobs' should be 'auto' or an integer"
    )
    cure(host, [found])
    assert host.read(own).endswith("# max-jobs = lots\ncores = 1\n")
    assert host.read(f"{own}.before-nix-aurora").endswith("\nmax-jobs = lots\ncores = 1\n")
    host.run(f"mv /tmp/custom {own}; systemctl try-restart nix-daemon.service")
    build(host)


def test_doctor_starts_no_failing_daemon(host: Host) -> None:
    """Run doctor repeatedly as any user; once the file is corrected, all is well at once."""
    own = "/etc/nix/nix.custom.conf"
    host.run(f"systemctl stop nix-daemon.service; cp {own} /tmp/custom; echo bad >>{own}")
    cursor = host.run("journalctl --sync; journalctl --show-cursor --lines=0").stdout
    after = cursor.rpartition(": ")[2].strip()
    look = "for n in 1 2 3 4 5 6 7; do nix-aurora doctor; done"
    assert host.run_as("other", look, login=False, check=False).stdout.count("conf-broken]") == 7
    host.run("journalctl --sync")
    entries = host.run(f"journalctl --unit=nix-daemon.service --after-cursor='{after}' -o cat")
    assert "Start" not in entries.stdout
    assert host.failed_units() == []
    host.run(f"mv /tmp/custom {own}")
    assert doctor(host, "other") == []
    build(host)


def test_private_settings_file_is_a_note(host: Host) -> None:
    own = "/etc/nix/nix.custom.conf"
    host.run(f"chmod 0600 {own}; systemctl stop nix-daemon.service")
    result = host.run_as("other", "nix-aurora doctor --json", login=False)
    host.run(f"chmod 0644 {own}")
    assert "nix-conf-private" in {found["id"] for found in json.loads(result.stdout)["findings"]}


def test_store_may_be_behind_a_link(nix_tree: Tree, make_host: HostMaker) -> None:
    """Replace /var/lib/nix by a link to another disk."""
    host = make_host(nix_tree)
    host.boot()
    host.run(
        "systemctl stop nix-daemon.socket nix-daemon.service nix.mount;"
        " mv /var/lib/nix /var/disk; ln -s ../disk /var/lib/nix"
    )
    host.reboot()
    assert [finding["id"] for finding in doctor(host)] == ["store-link"]
    state = json.loads(host.run("nix-aurora status --json").stdout)
    assert list(state["sockets"].values()) == [True, True]
    build(host)


def test_notes_are_no_faults(host: Host) -> None:
    host.run("echo '# mine' >>/etc/nix/nix.conf")
    result = host.run("nix-aurora doctor")
    assert "[nix-conf-changed]" in result.stdout
    assert "all is well" in result.stdout
    host.run("cp /usr/lib/nix-aurora/etc/nix/nix.conf /etc/nix/nix.conf")


def test_stale_remote_in_the_environment_is_unset(host: Host) -> None:
    script = "export NIX_REMOTE=local; {}nix-aurora doctor --json"
    result = host.run_as("tester", script.format(""), login=False, check=False)
    (found,) = faults(result.stdout)
    assert found["id"] == "nix-remote"
    host.run_as("tester", script.format(found["fix"] + "; "), login=False)


def test_doctor_under_sudo_checks_the_users_logins(host: Host) -> None:
    host.run("echo 'export NIX_REMOTE=local' >>/var/home/tester/.zshenv")
    result = host.run_as("tester", "sudo nix-aurora doctor", login=False, check=False)
    assert "[nix-remote:/var/home/tester/.zshenv]" in result.stdout
    assert host.run("nix-aurora doctor").returncode == 0  # root's own logins have no fault
    host.run("rm /var/home/tester/.zshenv")


@pytest.mark.parametrize(
    ("size", "left", "kind"), [(400, 20, "space-full"), (1200, 90, "space-scarce")]
)
def test_full_var_is_cured_by_collecting_garbage(
    nix_tree: Tree, make_host: HostMaker, size: int, left: int, kind: str
) -> None:
    """Fill a /var of ``size`` MiB with garbage store paths, except for ``left`` MiB."""
    host = make_host(nix_tree, var_size=size << 20)
    host.boot()
    assert doctor(host) == []
    host.run(
        f"size=$(($(stat --file-system --format='%a * %S' /var/lib/nix) - ({left} << 20)))\n"
        "head -c $size /dev/urandom >/tmp/big\n"
        "nix-store --add /tmp/big"
    )
    found = doctor(host)
    assert [finding["id"] for finding in found] == [kind]
    cure(host, found)
    build(host)


def test_corrupt_package_is_cured_by_an_intact_one_in_its_place(
    nix_tree: Tree, make_host: HostMaker, tmp_path: Path
) -> None:
    """Boot into the intact tree, in place of the deployment that the printed fix would make.

    The fix needs rpm-ostree or bootc, and a registry, which this host does not have. On an ordinary
    host the printed fix runs, in test_ordinary.
    """
    host = make_host(nix_tree.changed(tmp_path / "corrupt", DAMAGE))
    host.boot()
    assert host.failed_units() == ["nix-setup.service"]
    found = {finding["id"]: finding["fix"] for finding in doctor(host)}
    assert set(found) == {"unit-failed:nix-setup.service", "package-corrupt", "import-missing"}
    (fix,) = set(found.values())
    # The package is part of the image: this host has no rpm-ostree that could have layered it.
    assert fix == "sudo ostree fsck --delete; sudo bootc upgrade"
    host.reboot(nix_tree)
    assert doctor(host) == []
    build(host)


def test_doctor_names_the_reason_on_a_host_without_systemd(tree: Tree, nix_tree: Tree) -> None:
    """Without any Nix, no other check can run."""
    with tree.scratch() as scratch:
        assert scratch.run("command -v nix-aurora", check=False).returncode == 1
    with nix_tree.scratch() as scratch:  # installed, but never booted
        result = scratch.run("nix-aurora doctor", check=False)
        assert result.returncode == 1
        assert "[systemd-silent]" in result.stdout
        assert "[import-missing]" in result.stdout
