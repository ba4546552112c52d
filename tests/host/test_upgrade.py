"""Newer packages, older ones, none, and what stays through all of it."""

import re
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker, NixTreeMaker, PackageMaker
from tests.host.store import Store, prepare
from tests.host.whole import add_program, build, check_whole, version

_OLDER, _NEWER = "2.26.3", "2.34.8"
_PROFILE = "/nix/var/nix/profiles/default"


def _imported(host: Host) -> str:
    """Give how many store paths this boot's import has unpacked, as "N of M"; "" without one."""
    said = re.findall(r": (\d+ of \d+) store paths", host.journal("nix-setup.service"))
    return "".join(said)


def _generations(host: Host) -> list[str]:
    return host.run("cd /nix/var/nix/profiles; ls -d default-*-link").stdout.split()


def _running(host: Host) -> str:
    """Give the executable of the daemon."""
    pid = "systemctl show --property=MainPID --value nix-daemon.service"
    return host.run(f"readlink /proc/$({pid})/exe").stdout


def _follows(host: Host, expected: str) -> None:
    """Fail unless all is of the packaged version, and whole."""
    check_whole(host)
    assert version(host) == expected
    assert expected in _running(host)


def test_upgrade_collect_and_roll_back(make_nix_tree: NixTreeMaker, make_host: HostMaker) -> None:
    older, newer = make_nix_tree("trixie"), make_nix_tree("forky")
    host = make_host(older)
    host.boot()
    add_program(host)
    result = build(host, "--out-link result")
    assert _imported(host) == "63 of 63"
    _follows(host, _OLDER)
    first = _generations(host)

    host.reboot(newer)
    assert _imported(host) == "62 of 62"
    _follows(host, _NEWER)
    assert _generations(host)[0] == first[0]
    assert len(_generations(host)) == len(first) + 1

    # Back and forth: everything is there.
    host.reboot(older)
    assert _imported(host) == "0 of 63"
    _follows(host, _OLDER)
    host.reboot(newer)
    assert _imported(host) == "0 of 62"
    _follows(host, _NEWER)

    # The older one goes, but for what a user has rooted.
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

    # A rollback brings it back by itself, and no more of it than is missing.
    host.reboot(older)
    assert _imported(host) == f"{63 - len(kept)} of 63"
    assert len(kept) in range(1, 10)
    _follows(host, _OLDER)
    assert host.read(f"/proc/self/root{result}")


def test_away_to_another_image_and_back(
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


# --- the default profile, in a root that is not booted


@pytest.fixture(scope="module")
def prepared(make_nix_tree: NixTreeMaker, package: PackageMaker) -> Iterator[Store]:
    """Give a root in which 2.34 is to be imported over 2.26, once."""
    with make_nix_tree("trixie").scratch() as scratch:
        yield prepare(scratch, package("forky"))


@pytest.fixture
def store(prepared: Store) -> Store:
    """Give it in its first state."""
    prepared.restore()
    return prepared


# What an administrator does to the default profile with nix-env and with nix profile. $OLDER is
# the packaged Nix.
_ADD = {
    "nix-env": "nix-env --profile $PROFILE --install {}",
    "nix profile": "nix profile install --profile $PROFILE {}",
}
_REMOVE = {
    "nix-env": "nix-env --profile $PROFILE --uninstall nix",
    "nix profile": "nix profile remove --profile $PROFILE --regex '.*-nix-2.*'",
}
_ADMIN = """
export NIX_REMOTE=local PATH=$OLDER/bin:$PATH HOME=/root
export NIX_CONFIG='sandbox = false
substitute = false
experimental-features = nix-command flakes'
# A package with one program.
package() { # NAME COMMAND
    mkdir -p /run/$1-1.0/bin
    printf '#!/bin/sh\\n%s\\n' "$2" >/run/$1-1.0/bin/${3:-$1}
    chmod +x /run/$1-1.0/bin/*
    nix-store --add /run/$1-1.0
}
"""


def _administer(store: Store, script: str) -> None:
    store.scratch.run(_ADMIN + script, env={"OLDER": store.older, "PROFILE": _PROFILE})


@pytest.mark.parametrize("way", list(_ADD))
def test_what_an_administrator_has_added_stays(store: Store, way: str) -> None:
    """The packaged Nix moves on beside it."""
    _administer(store, _ADD[way].format('"$(package tool "echo a tool")"'))
    store.run_import()
    store.check_whole()
    assert store.scratch.run(f"{_PROFILE}/bin/tool").stdout == "a tool\n"
    assert store.scratch.run(f"{_PROFILE}/bin/nix --version").stdout.endswith(f"{_NEWER}\n")
    manifest = "manifest.json" if way == "nix profile" else "manifest.nix"
    assert _OLDER not in store.scratch.read(f"{_PROFILE}/{manifest}")
    # And once more, with the manifest that the newer one has written.
    store.scratch.run(f"rm {_PROFILE}; rm /nix/.nix-aurora/imported")
    store.scratch.run(f"ln -s $(ls -d {_PROFILE}-*-link | tail -n 2 | head -n 1) {_PROFILE}")
    store.run_import()
    store.check_whole()
    assert store.scratch.run(f"{_PROFILE}/bin/tool").stdout == "a tool\n"


@pytest.mark.parametrize("way", list(_ADD))
def test_an_own_nix_of_the_administrator_stays(store: Store, way: str) -> None:
    """With whatever else is in the profile; what runs by default is the packaged one."""
    _administer(
        store,
        f"""
        {_REMOVE[way]}
        {_ADD[way].format('"$(package own "echo an own Nix" nix)"')}
        {_ADD[way].format('"$(package tool "echo a tool")"')}
        """,
    )
    before = store.scratch.run(f"readlink -f {_PROFILE}").stdout
    said = store.run_import().stdout
    assert "the default profile has another Nix, which stays: /nix/store/" in said
    assert store.scratch.run(f"readlink -f {_PROFILE}").stdout == before
    assert store.scratch.run(f"{_PROFILE}/bin/nix").stdout == "an own Nix\n"
    assert store.scratch.run(f"{_PROFILE}/bin/tool").stdout == "a tool\n"
    assert store.run_import().output == ""
