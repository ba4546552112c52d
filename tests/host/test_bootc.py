"""Test a host of bootc without ostree: / is composefs:DIGEST, and /run/ostree-booted is missing."""

import json
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.host.conftest import NixTreeMaker
from tests.lint.shell import TOP
from tests.nix_root import allow_overlay, avoid_overlay
from tests.whole import add_program, check_whole

_SOURCE = "findmnt --noheadings --output SOURCE --mountpoint /"
_IMAGE_HOST = "/usr/libexec/nix-aurora/image-host"
_STARTED = "systemctl show --property=InvocationID --value nix-layout.service nix-setup.service"


@pytest.fixture(scope="module")
def host(make_nix_tree: NixTreeMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host of bootc in its first boot; a module shares it."""
    place = tmp_path_factory.mktemp("bootc") / "host"
    with Host(make_nix_tree(nix_dir=False), place, bootc=True) as host:
        yield host


def _findings(host: Host) -> dict[str, str]:
    """Return the fix of each finding that is more than a note."""
    report = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)
    found = report["findings"]
    return {each["id"]: each["fix"] for each in found if each["severity"] != "note"}


def test_host_has_the_form_of_bootcs_composefs(host: Host) -> None:
    assert host.run(_SOURCE).stdout.startswith("composefs:")
    host.run("[ ! -e /run/ostree-booted ]; [ ! -w / ]; [ ! -w /usr ]; touch /etc/x /var/x")
    types = host.run("stat --file-system --format=%T / /etc /var").stdout.split()
    assert types[0] == "overlayfs"
    assert types[1] == types[2] != "overlayfs"


def test_namespace_layout_recognizes_the_image(host: Host) -> None:
    """Recognize the image in the private root, too, where the mount has another source."""
    host.run("nix-aurora mount disable")
    host.reboot()
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    assert host.failed_units() == []
    host.run(_IMAGE_HOST)
    host.run_as("tester", f"set -e; {_IMAGE_HOST}; nix-aurora shell {_IMAGE_HOST}")


@pytest.mark.parametrize("kind", ["overlay", "binds"])
def test_host_moves_and_keeps_its_source(kind: str, host: Host) -> None:
    host.run("nix-aurora mount disable")
    host.reboot()
    before = host.run(_SOURCE).stdout
    if kind == "binds":
        avoid_overlay(host)
    host.run("nix-aurora mount enable --yes")
    host.reboot()
    assert host.read("/run/nix-aurora/root") == f"{kind}\n"
    assert host.run(_SOURCE).stdout == before
    host.run(f"{_IMAGE_HOST}; mount -o remount,rw / || true; [ ! -w / ]")
    add_program(host)
    check_whole(host)
    assert _findings(host) == {}
    if kind == "binds":
        allow_overlay(host)


def test_transaction_on_the_running_system_starts_nothing(host: Host) -> None:
    """As on a system that ostree assembles, the next boot starts the new Nix."""
    before = host.run(_STARTED).stdout
    host.run((TOP / "scriptlets/posttrans.sh").read_text(encoding="utf-8"))
    assert host.run(_STARTED).stdout == before


def test_advice_names_bootc(host: Host) -> None:
    host.run(
        "mount -t tmpfs damaged /mnt; cp /usr/lib/nix-aurora/closure.env /mnt/;"
        " echo CLOSURE_ID=other >>/mnt/closure.env;"
        " mount --bind /mnt/closure.env /usr/lib/nix-aurora/closure.env"
    )
    found = _findings(host)
    host.run("umount /usr/lib/nix-aurora/closure.env; umount /mnt")
    assert set(found.values()) == {"sudo bootc upgrade"}, found
    assert _findings(host) == {}
    said = host.run("nix-aurora purge --yes").stderr
    assert "To remove the package: build the image without it, then: sudo bootc upgrade" in said
    assert "dnf" not in said
