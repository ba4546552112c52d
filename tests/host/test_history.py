"""Test hosts whose users had packages: in another store, in a lost profile, in a lost home.

Each fault is caused on a booted host, in the mount layout and in the namespace layout. Doctor names
it, the printed fixes run, and the users' packages work again, also after a reboot. The tests share
two hosts, and depend on their order.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.adopting import FORMER, LEAVE
from tests.host.conftest import NixTreeMaker
from tests.host.doctor import build
from tests.host.former import LOOPS, REBOOT, cure, former, is_well, status
from tests.leftovers import write
from tests.whole import add_program, check_clean, check_profile

pytestmark = pytest.mark.long

_HIDDEN = "/nix, below the mount of /var/lib/nix"
# This mounts a store manually: our daemon and a user's program run while it is on /nix.
_MOUNTED = """
mkdir -p /var/home/another/{store/kept,var/nix/db}
mount --bind /var/home/another /nix
systemctl restart nix-daemon.service
"""
_RUN = "systemd-run --user --unit=program nix-aurora shell sleep infinity"
# This creates the state of a host on which the package is installed after another Nix.
_INSTALL = """
systemd-tmpfiles --create nix-aurora.conf
systemctl restart nix-layout.service nix-setup.service
systemctl start nix.mount nix-daemon.socket nix-database-backup.timer
"""
# This runs on this machine, in a separate mount namespace: $1 is the host's /var, $2 an empty
# directory.
_TO_SUBVOLUME = """
set -eu
truncate --size=1G "$1/nix.btrfs"
mkfs.btrfs --quiet "$1/nix.btrfs"
mount -o loop "$1/nix.btrfs" "$2"
btrfs --quiet subvolume create "$2/nix"
cp -a "$1/home/nix/." "$2/nix/"
rm -r "$1/home/nix"
"""
_LINE = "/var/nix.btrfs /nix btrfs loop,subvol=nix 0 0"
# This hides the home, as if its disk were not mounted, while root collects.
_COLLECT = """
mount -t tmpfs another /var/home
nix-collect-garbage
umount /var/home
"""
_LINK = "rm -f ~/.nix-profile; ln -s /nix/var/nix/profiles/per-user/tester/profile ~/.nix-profile"


@pytest.fixture(scope="module")
def image_host(
    make_nix_tree: NixTreeMaker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """Yield a host in the namespace layout, since its image has another Nix's store in /nix.

    The first test switches the host to the mount layout.
    """
    place = tmp_path_factory.mktemp("image")
    write(place / "layer", {"/nix/store/kept": "", "/nix/var/nix/db/db.sqlite": ""})
    tree = Tree((place / "layer", *make_nix_tree().layers))
    with Host(tree, place / "host", flags=LOOPS) as host:
        yield host


@pytest.fixture(scope="module")
def namespace_host(
    make_nix_tree: NixTreeMaker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """Yield a host without /nix, whose settings select the namespace layout."""
    tree = make_nix_tree(nix_dir=False, layout="namespace")
    with Host(tree, tmp_path_factory.mktemp("namespace") / "host") as host:
        yield host


@pytest.fixture(params=["image_host", "namespace_host"])
def host(request: pytest.FixtureRequest) -> Host:
    """Return each of the two hosts."""
    found: Host = request.getfixturevalue(request.param)
    return found


def test_mount_in_use_is_unmounted_and_the_images_store_is_hidden(image_host: Host) -> None:
    """Start in the namespace layout, where our daemon and a user's program have their own /nix."""
    assert status(image_host)["layout"] == "namespace"
    image_host.run(_MOUNTED)
    build(image_host, shown=False)
    image_host.run_as("tester", _RUN)
    mounted, below, *rest = cure(image_host)
    assert set(mounted) == {"nix-foreign-mount"}
    assert set(below) == {"nix-foreign-store"}
    assert rest == [{}]
    assert status(image_host)["layout"] == "mount"
    assert former(image_host)["stores"] == [_HIDDEN]
    image_host.run("rm -r /var/home/another")
    is_well(image_host)


def test_profile_whose_directory_is_gone_is_recreated(host: Host) -> None:
    """Use the link of a former Nix, which kept profiles elsewhere."""
    host.run_as("tester", _LINK)
    (lost, *rest) = cure(host)
    assert list(lost) == ["profile-lost"]
    assert lost["profile-lost"].endswith(" 'rm -f -- /var/home/tester/.nix-profile'")
    assert rest == [{}]
    add_program(host)
    check_profile(host)


def test_programs_that_were_collected_without_the_home_are_named(host: Host) -> None:
    """Collect the programs of a user's profile; they can be installed again."""
    host.run(_COLLECT)
    lost, *rest = cure(host)
    assert list(lost) == ["profile-lost"]
    assert lost["profile-lost"].endswith("/.local/state/nix/profiles/profile'")
    assert rest == [{}]
    add_program(host)
    check_profile(host)


def test_store_in_home_is_adopted_in_the_namespace_layout(namespace_host: Host) -> None:
    namespace_host.run(LEAVE + _INSTALL)
    assert former(namespace_host)["stores"] == [FORMER]
    adopted, *rest = cure(namespace_host)
    assert adopted == {"profile-lost": "sudo nix-aurora adopt"}
    assert rest == [{}]
    check_profile(namespace_host)
    is_well(namespace_host, shown=False)
    check_profile(namespace_host)
    assert former(namespace_host) == {"traces": [], "stores": []}


def test_store_on_a_subvolume_is_adopted_and_mounted_by_the_reboot(
    image_host: Host, tmp_path: Path
) -> None:
    """Hide another store in /nix below our mount: doctor names the one to adopt."""
    image_host.run(LEAVE)
    make = ["unshare", "--mount", "sh", "-c", _TO_SUBVOLUME, "make"]
    subprocess.run([*make, image_host.console.with_name("var"), tmp_path], check=True)
    image_host.run(f"echo '{_LINE}' >>/etc/fstab")
    image_host.reboot()
    mounted, adopted, waiting, receipt, *rest = cure(image_host)
    assert {"nix-foreign-mount", "former-fstab"} <= set(mounted)
    assert adopted == {"profile-lost": "sudo nix-aurora adopt --from /var/nix.btrfs"}
    assert waiting == {"disk-not-mounted": REBOOT}
    assert list(receipt) == ["foreign-receipt"]
    assert rest == [{}]
    check_profile(image_host)
    check_clean(image_host.run("NIX_REMOTE=local nix-store --verify --check-contents"))
    is_well(image_host)
    assert former(image_host) == {"traces": [], "stores": [_HIDDEN]}
