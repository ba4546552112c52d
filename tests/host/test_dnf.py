"""Test an ordinary Fedora: the real dnf5, a repository, and packages that exclude each other."""

import json
from collections.abc import Iterator

import pytest

from nix_aurora.package.lists import read_fedora_packages
from tests.harness.nspawn import Host
from tests.harness.roots import MORE
from tests.harness.tree import atomic_tree
from tests.packages import LIVE_SETTINGS, PackageMaker
from tests.rpm.builder import TOP
from tests.rpm.tiny import tiny_rpm
from tests.whole import add_program, check_whole, version

pytestmark = pytest.mark.long

_FEDORA = read_fedora_packages(TOP)

# On Fedora, dnf is also a link to dnf5, which Debian's package lacks.
_REPOSITORY = """
ln -s dnf5 /usr/bin/dnf
createrepo_c --quiet /srv/repository
mkdir -p /etc/yum.repos.d
cat >/etc/yum.repos.d/nix-aurora.repo <<'END'
[nix-aurora]
name=nix-aurora
baseurl=file:///srv/repository
gpgcheck=0
END
"""
# This removes Nix from the store, and damages the package that would restore it.
_CORRUPT = """
. /usr/lib/nix-aurora/closure.env
rm -r "/usr/lib/nix-aurora/store/${CLOSURE_NIX##*/}/bin"
rm -r "$CLOSURE_NIX" /var/lib/nix/.nix-aurora/imported
! systemctl restart nix-setup.service
"""
_VERSIONS = {"trixie": "2.26.3", "forky": "2.34.8"}


@pytest.fixture(scope="module")
def host(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host with a repository of two versions of the package, and of Fedora's own Nix."""
    place = tmp_path_factory.mktemp("dnf")
    tree = atomic_tree(extra=(MORE,))
    with Host(tree, place / "host", ordinary=True) as host:
        for suite in _VERSIONS:
            host.copy_in(package(suite), f"/srv/repository/{suite}.rpm")
        for name in _FEDORA:
            host.copy_in(tiny_rpm(place, name=name), f"/srv/repository/{name}.rpm")
        host.run(_REPOSITORY)
        yield host


def _dnf(host: Host, words: str, *, check: bool = True) -> str:
    # systemd limits a unit to five starts in ten seconds, which only a test exceeds.
    host.run("systemctl reset-failed nix-daemon.service nix-daemon.socket || :")
    done = host.run(f"dnf --assumeyes {words}", check=check)
    assert check or done.returncode != 0
    return done.output


def _check(host: Host, suite: str) -> None:
    """Fail unless the host is complete with that version, and rpm finds no changes."""
    host.run(LIVE_SETTINGS)
    check_whole(host)
    assert version(host) == _VERSIONS[suite]
    changed = host.run("rpm --verify nix-aurora", check=False).stdout.splitlines()
    assert [line.split()[-2:] for line in changed] == [["c", "/etc/nix/nix.custom.conf"]]


def test_package_is_installed_upgraded_and_removed_by_dnf(host: Host) -> None:
    _dnf(host, f"install 'nix-aurora-{_VERSIONS['trixie']}'")
    assert host.run("rpm --verify nix-aurora").output == ""
    host.run(LIVE_SETTINGS)
    add_program(host)
    _check(host, "trixie")
    host.run("rm /run/nix-aurora/env")  # packages from before 2027 do not write this file
    _dnf(host, "upgrade nix-aurora")
    assert "NIX_AURORA_LAYOUT=mount\n" in host.read("/run/nix-aurora/env")
    _check(host, "forky")
    _dnf(host, "downgrade nix-aurora")
    _check(host, "trixie")
    assert "your store and profiles are kept in /var/lib/nix" in _dnf(host, "remove nix-aurora")
    assert host.failed_units() == []
    _dnf(host, "install nix-aurora")
    _check(host, "forky")


def test_reinstalling_cures_a_corrupt_package(host: Host) -> None:
    """Run doctor's own command with the real dnf5, and answer yes."""
    host.run(_CORRUPT)
    found = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)["findings"]
    faults = {finding["id"]: finding["fix"] for finding in found}
    assert set(faults) == {"unit-failed:nix-setup.service", "package-corrupt", "import-missing"}
    (fix,) = set(faults.values())
    assert fix.startswith("sudo dnf reinstall nix-aurora && ")
    host.run_as("tester", f"yes | {{ {fix}; }}", login=False)
    assert "all is well" in host.run("nix-aurora doctor").stdout
    _check(host, "forky")


def test_reinstalling_cures_a_damaged_description(host: Host) -> None:
    host.run("sed -i 's/^CLOSURE_ID=./CLOSURE_ID=z/' /usr/lib/nix-aurora/closure.env")
    found = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)["findings"]
    fix = {finding["id"]: finding["fix"] for finding in found}["package-damaged"]
    host.run_as("tester", f"yes | {{ {fix}; }}", login=False)
    assert "all is well" in host.run("nix-aurora doctor").stdout
    _check(host, "forky")


def test_fix_removes_fedoras_own_nix(host: Host) -> None:
    """Remove Fedora's Nix even if dnf did not install it; dnf refuses it beside ours."""
    host.run("rpm --install --nodeps --nosignature /srv/repository/nix-core.rpm")
    found = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)["findings"]
    fix = {finding["id"]: finding["fix"] for finding in found}["foreign-packages"]
    assert fix == "sudo dnf remove nix-core"
    host.run_as("tester", f"yes | {{ {fix}; }}", login=False)
    assert "all is well" in host.run("nix-aurora doctor").stdout
    _check(host, "forky")


def test_fedoras_own_nix_and_ours_exclude_each_other(host: Host) -> None:
    """Let dnf refuse the second package, name both, and change nothing."""
    before = host.run("rpm --query --all | sort").stdout
    for name in _FEDORA:
        said = _dnf(host, f"install {name}", check=False)
        assert "conflicts with" in said
        assert f"{name}-1-1.noarch" in said
        assert "nix-aurora-" in said
    assert host.run("rpm --query --all | sort").stdout == before
    check_whole(host)

    _dnf(host, "remove nix-aurora")
    for name in _FEDORA:
        _dnf(host, f"install {name}")
        said = _dnf(host, "install nix-aurora", check=False)
        assert "conflicts with" in said
        assert f"{name}-1-1.noarch" in said
        assert host.run("rpm --query nix-aurora", check=False).returncode != 0
        _dnf(host, f"remove {name}")
