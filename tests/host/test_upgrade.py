"""Test upgrades, downgrades and removals of the package, and the state that stays each time."""

import re

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.whole import add_program, build, check_whole, version

pytestmark = pytest.mark.long

_OLDER, _NEWER = "2.26.3", "2.34.8"


def _imported(host: Host) -> str:
    """Return how many store paths this boot's import unpacked, as "N of M", or ""."""
    said = re.findall(r": (\d+ of \d+) store paths", host.journal("nix-setup.service"))
    return "".join(said)


def _generations(host: Host) -> list[str]:
    return host.run("cd /nix/var/nix/profiles; ls -d default-*-link").stdout.split()


def _running(host: Host) -> str:
    """Return the executable of the daemon."""
    pid = "systemctl show --property=MainPID --value nix-daemon.service"
    return host.run(f"readlink /proc/$({pid})/exe").stdout


def _follows(host: Host, expected: str) -> None:
    """Fail unless everything has the packaged version and is complete."""
    check_whole(host)
    assert version(host) == expected
    assert expected in _running(host)


def test_upgrade_collect_and_roll_back(make_nix_tree: NixTreeMaker, make_host: HostMaker) -> None:
    older, newer = make_nix_tree("trixie"), make_nix_tree("forky")
    host = make_host(older)
    host.boot()
    add_program(host)
    result = build(host, "--out-link result")
    assert _imported(host) == "65 of 65"
    _follows(host, _OLDER)
    first = _generations(host)

    host.reboot(newer)
    assert _imported(host) == "64 of 64"
    _follows(host, _NEWER)
    assert _generations(host)[0] == first[0]
    assert len(_generations(host)) == len(first) + 1

    # An upgrade and a rollback keep all paths.
    host.reboot(older)
    assert _imported(host) == "0 of 65"
    _follows(host, _OLDER)
    host.reboot(newer)
    assert _imported(host) == "0 of 64"
    _follows(host, _NEWER)

    # The older Nix is collected, except for the paths that a user has rooted.
    kept = host.run_as(
        "tester",
        """
        nix-store --realise --add-root libc $(ls -d /nix/store/*-glibc-* | grep -v 2.43)
        nix-store --query --requisites ./libc
        """,
    ).stdout.splitlines()[1:]
    host.run("nix-collect-garbage -d")
    paths = host.run("cd /nix/store; ls -d *-nix-2.* *-nix-cli-2.*").stdout
    assert _NEWER in paths
    assert _OLDER not in paths
    assert len(_generations(host)) == 1
    check_whole(host)

    # A rollback imports the older Nix again, and unpacks only the missing paths.
    host.reboot(older)
    assert _imported(host) == f"{65 - len(kept)} of 65"
    assert len(kept) in range(1, 10)
    _follows(host, _OLDER)
    assert host.read(f"/proc/self/root{result}")


def test_rebase_to_another_image_and_back_keeps_everything(
    nix_tree: Tree, tree_with_nix: Tree, make_host: HostMaker
) -> None:
    host = make_host(nix_tree)
    host.boot()
    add_program(host)
    host.run("touch /var/lib/nix/mark")
    before = host.run("ls -lAR /var/lib/nix/store").stdout

    host.reboot(tree_with_nix)
    assert host.failed_units() == []
    assert host.run("command -v nix; ls /nix", check=False).stdout == ""
    assert host.run("ls -lAR /var/lib/nix/store").stdout == before

    host.reboot(nix_tree)
    assert _imported(host) == ""
    check_whole(host)
    assert host.read("/var/lib/nix/mark") == ""
