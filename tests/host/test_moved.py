"""Test that programs which inspect, bind or stack the host's root work the same on a moved host."""

from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree, atomic_tree, layer_rpms
from tests.nix_root import avoid_overlay
from tests.packages import PackageMaker, fit_for_sample

# Container roots have only the requested parts; their programs are the host's.
_BOX = """
mkdir -p /var/box/{usr,proc,sys,dev,run,tmp,etc,var}
for name in bin sbin lib lib64; do ln -sfn "usr/$name" "/var/box/$name"; done
mkdir -p /var/srv/later
"""
# These are the options of distrobox's containers (89luca89/distrobox distrobox-create), without a
# network, and without control groups, which the guest may not divide.
_PODMAN = """
podman run --detach --name box --rm --network=none --pids-limit=-1 --cgroups=disabled \
    --privileged --ipc=host --security-opt=label=disable \
    --volume=/usr:/usr:ro --volume=/:/run/host:rslave --volume=/tmp:/tmp:rslave \
    --rootfs /var/box sleep infinity >/dev/null
look() { podman exec box sh -c "$1"; }
look 'ls /run/host; cat /run/host/etc/hostname; ls /run/host/usr/bin | wc -l; ls /run/host/home'
look 'for place in / /usr /var; do touch /run/host$place/x && echo "wrote to $place"; done'
mount -t tmpfs later /var/srv/later
touch /var/srv/later/there
look 'ls /run/host/var/srv/later'
umount /var/srv/later
look 'ls /run/host/var/srv/later; chroot /run/host /usr/bin/id --user'
podman stop --time=0 box >/dev/null
"""
# flatpak starts a program with access to the host's files in this way.
_BWRAP = """
bwrap --unshare-user --unshare-pid --die-with-parent --ro-bind /usr /usr --symlink usr/bin /bin \
    --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp \
    --ro-bind / /run/host --bind /var /var sh -c '
        ls /run/host; cat /run/host/etc/hostname; ls /run/host/usr/bin | wc -l
        touch /run/host/var/tmp/x || echo read-only
        touch /var/tmp/x && rm /var/tmp/x && echo written'
bwrap --dev-bind / / --tmpfs /tmp sh -c 'ls /; ls -A /tmp; cat /etc/hostname'
bwrap --ro-bind / / --dev /dev --proc /proc sh -c 'touch /var/tmp/x || echo read-only; id --user'
"""
# This sets up a chroot of the whole host, and removes it again.
_RBIND = """
count() { wc -l </proc/self/mountinfo; }
before=$(count)
mount --rbind / /mnt
mount --make-rslave /mnt
chroot /mnt sh -c 'ls /; cat /etc/hostname; ls /usr/bin | wc -l'
umount --lazy /mnt
echo "$(($(count) - before)) mounts more"
unshare --mount sh -c 'mount --rbind / /mnt; cd /mnt; pivot_root . .; umount --lazy .; ls /usr'
systemd-run --quiet --pipe --wait --property=ProtectSystem=strict --property=PrivateTmp=yes \
    --property=TemporaryFileSystem=/home --property=BindPaths=/var/srv:/mnt sh -c 'ls / /mnt'
"""


@pytest.fixture(scope="module")
def tree(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Return a stock host with the package and podman."""
    place = tmp_path_factory.mktemp("tree")
    base = atomic_tree(extra=(("podman", "crun"),))
    return fit_for_sample(layer_rpms(base, [package()], place / "rpms"), place / "settings")


@pytest.fixture(scope="module", params=["overlay", "binds"])
def host(
    request: pytest.FixtureRequest, tree: Tree, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """Yield a host that can move onto a root of this kind; see _to_stock and _to_moved."""
    with Host(tree, tmp_path_factory.mktemp(request.param) / "host") as host:
        if request.param == "binds":
            avoid_overlay(host)
        host.run(_BOX)
        yield host


@pytest.fixture(scope="module")
def said_before(host: Host) -> dict[str, str]:
    """Return the output of the scripts before the move; afterwards the host has moved."""
    host.run("nix-aurora mount disable")
    host.reboot()
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    said = {name: _say(host, name) for name in _SCRIPTS}
    host.run("nix-aurora mount enable --yes")
    host.reboot()
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    assert host.failed_units() == []
    return said


# Each script runs as this user.
_SCRIPTS = {
    "podman": (_PODMAN, "root"),
    "bwrap by root": (_BWRAP, "root"),
    "bwrap by a user": (_BWRAP, "tester"),
    "chroot": (_RBIND, "root"),
}


def _say(host: Host, name: str) -> str:
    script, user = _SCRIPTS[name]
    if user == "root":
        return host.run(script).stdout
    return host.run_as(user, f"set -eu\n{script}").stdout


@pytest.mark.parametrize("name", _SCRIPTS)
def test_program_finds_the_same_as_on_a_stock_host(
    name: str, host: Host, said_before: dict[str, str]
) -> None:
    now = _say(host, name).splitlines()
    assert "nix" in now
    assert [line for line in now if line != "nix"] == said_before[name].splitlines()
