"""Test stock composefs in the layouts that do not change its root: namespace and relocated."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.deployment import Deployment
from tests.host.expressions import ADD_BASH, copy_expressions
from tests.nix_root import ROOT_OFF
from tests.ostree.conftest import DiskMaker
from tests.relocated import ASK, ASK_NO_MORE, RESTART, check_builders, check_collection
from tests.whole import add_program, build, check_whole

_DEVELOP = f"""
bash=$({ADD_BASH})
nix develop --impure --expr "import /srv/develop.nix {{ bash = \\"$bash\\"; }}" \\
    --command sh -c 'echo $greeting'
"""


@pytest.fixture(scope="module")
def host(disk: DiskMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Yield a host in its first boot with the package, without the move to another root."""
    host = Deployment(disk("nix-forky"), tmp_path_factory.mktemp("namespace") / "host")
    host.open()
    try:
        host.boot(arguments=ROOT_OFF)
        host.run("nix-aurora mount disable")
        yield host
    finally:
        host.close()
    host.disk.unlink()


def test_first_boot_is_whole(host: Deployment) -> None:
    assert host.run("findmnt --noheadings --output FSTYPE /").stdout == "overlay\n"
    assert "composefs" in host.run("findmnt --noheadings --output SOURCE,OPTIONS /").stdout
    assert "Read-only file system" in host.run("mkdir /nix", check=False).stderr
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    add_program(host)
    check_whole(host)


def test_users_develop_and_run(host: Deployment, tmp_path: Path) -> None:
    copy_expressions(host, tmp_path)
    assert "from develop\n" in host.run_as("tester", _DEVELOP).stdout
    run = "nix run --impure --expr 'import /srv/greet.nix { }'"
    assert host.run_as("tester", run).stdout == "greeting from greet\n"
    assert host.run_as("tester", "nix-aurora shell greet").stdout == "hello from a profile\n"
    assert host.run_as("tester", "nix-aurora shell sh -c 'exit 7'", check=False).returncode == 7


def test_collection_deletes_paths_without_a_root(host: Deployment) -> None:
    """Add a link on a disk that was mounted after the daemon started; it is a root, too."""
    host.run("mkdir -p /mnt/disk; mount -t tmpfs disk /mnt/disk; chown tester: /mnt/disk")
    links = ("/home/tester/result", "/mnt/disk/result")
    rooted = [build(host, f"--out-link {link}") for link in links]
    for user in ("tester", "root"):
        garbage = build(host)
        host.run_as(user, "nix-collect-garbage -d")
        assert host.run(f"[ -e /var/lib{garbage} ]", check=False).returncode == 1
        for path in rooted:
            host.run(f"nix-store --check-validity {path}; [ -s /var/lib{path} ]")
    check_whole(host)


def test_relocated_nix_needs_neither_nix_nor_a_private_root(host: Deployment) -> None:
    """Switch to the relocated layout and back; everything from before then exists again."""
    rooted = build(host, "--out-link /home/tester/of-namespace")
    host.run(ASK)
    host.reboot()
    assert host.read("/run/nix-aurora/layout") == "relocated\n"
    host.run("[ /run/nix/store -ef /var/lib/nix/relocated/store ] && [ ! -e /nix ]")
    add_program(host)
    check_whole(host)
    check_builders(host)
    check_collection(host, "root", "nix-collect-garbage -d")

    host.run(f"{ASK_NO_MORE}\n{RESTART}")
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    check_whole(host)
    host.run(f"nix-store --check-validity {rooted}; [ -s /var/lib{rooted} ]")
