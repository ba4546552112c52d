"""Stock composefs, where the root can have no /nix: what a host does unasked, and relocated."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.qemu import Machine
from tests.host.expressions import ADD_BASH, copy_expressions
from tests.ostree.conftest import DiskMaker
from tests.relocated import ASK, ASK_NO_MORE, RESTART, check_builders, check_collection
from tests.whole import add_program, build, check_whole

_DEVELOP = f"""
bash=$({ADD_BASH})
nix develop --impure --expr "import /srv/develop.nix {{ bash = \\"$bash\\"; }}" \\
    --command sh -c 'echo $greeting'
"""


@pytest.fixture(scope="module")
def machine(disk: DiskMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give a machine in its first boot with the package, and with a second disk."""
    place = tmp_path_factory.mktemp("namespace")
    second = place / "second.img"
    with second.open("wb") as file:
        file.truncate(64 << 20)
    with Machine(disk("nix-forky"), place / "machine", disks=[second]) as machine:
        yield machine
    machine.disk.unlink()


def test_a_first_boot_is_whole(machine: Machine) -> None:
    assert machine.run("findmnt --noheadings --output FSTYPE /").stdout == "overlay\n"
    assert "composefs" in machine.run("findmnt --noheadings --output SOURCE,OPTIONS /").stdout
    assert "Read-only file system" in machine.run("mkdir /nix", check=False).stderr
    assert machine.read("/run/nix-aurora/layout") == "namespace\n"
    add_program(machine)
    check_whole(machine)


def test_users_develop_and_run(machine: Machine, tmp_path: Path) -> None:
    copy_expressions(machine, tmp_path)
    assert "from develop\n" in machine.run_as("tester", _DEVELOP).stdout
    run = "nix run --impure --expr 'import /srv/greet.nix { }'"
    assert machine.run_as("tester", run).stdout == "greeting from greet\n"
    assert machine.run_as("tester", "nix-aurora shell greet").stdout == "hello from a profile\n"
    assert machine.run_as("tester", "nix-aurora shell sh -c 'exit 7'", check=False).returncode == 7


def test_a_collection_takes_what_nobody_has_rooted(machine: Machine) -> None:
    """A link on a disk that was mounted after the daemon had started is a root, too."""
    machine.run(
        "mkfs.ext4 -q /dev/disk/by-id/virtio-disk1; mkdir -p /mnt/disk;"
        " mount /dev/disk/by-id/virtio-disk1 /mnt/disk; chown tester: /mnt/disk"
    )
    links = ("/home/tester/result", "/mnt/disk/result")
    rooted = [build(machine, f"--out-link {link}") for link in links]
    for user in ("tester", "root"):
        garbage = build(machine)
        machine.run_as(user, "nix-collect-garbage -d")
        assert machine.run(f"[ -e /var/lib{garbage} ]", check=False).returncode == 1
        for path in rooted:
            machine.run(f"nix-store --check-validity {path}; [ -s /var/lib{path} ]")
    check_whole(machine)


def test_relocated_nix_needs_neither_nix_nor_a_private_root(machine: Machine) -> None:
    """And what was there before is there again afterwards."""
    rooted = build(machine, "--out-link /home/tester/of-namespace")
    machine.run(ASK)
    machine.reboot()
    assert machine.read("/run/nix-aurora/layout") == "relocated\n"
    machine.run("[ /run/nix/store -ef /var/lib/nix/relocated/store ] && [ ! -e /nix ]")
    add_program(machine)
    check_whole(machine)
    check_builders(machine)
    check_collection(machine, "root", "nix-collect-garbage -d")

    machine.run(f"{ASK_NO_MORE}\n{RESTART}")
    assert machine.read("/run/nix-aurora/layout") == "namespace\n"
    check_whole(machine)
    machine.run(f"nix-store --check-validity {rooted}; [ -s /var/lib{rooted} ]")
