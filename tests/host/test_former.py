"""Test hosts that had another Nix: doctor's printed fixes make each of them healthy.

tests/leftovers.py has the installers' leftovers, with their sources.
"""

import shlex
from operator import itemgetter
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.doctor import build
from tests.host.former import cure, former, has_come_up, is_well, status
from tests.leftovers import (
    CLASSIC,
    DETERMINATE,
    MOUNT_UNIT,
    PROXY,
    UPSTREAM,
    Files,
    Link,
    script,
)
from tests.torture import representatives

pytestmark = pytest.mark.long

_FORMER = "/etc/nix-aurora.former"
_OTHER = "/nix/var/nix/profiles/default"
_STORE = "mkdir -p {0}/store/kept {0}/var/nix/db; : >{0}/var/nix/db/db.sqlite; echo 1 >{0}/store/x"
_KEPT = "[ $(cat {0}/store/x) = 1 ] && [ -e {0}/var/nix/db/db.sqlite ]"
_UNIT_FILES = "/etc/systemd/system"
_BIND = {"/etc/fstab": "/var/home/nix /nix none bind,nofail 0 0\n"}
_NEEDED = {"/etc/fstab": "/var/home/nix /nix none bind 0 0\n"}
_LINKS: Files = {
    f"{_UNIT_FILES}/nix-daemon.{kind}": Link(f"{_OTHER}/lib/systemd/system/nix-daemon.{kind}")
    for kind in ("socket", "service")
}
_LEFT: dict[str, Files] = {
    "determinate": DETERMINATE,
    "upstream": UPSTREAM,
    "classic with a line in fstab": {**CLASSIC, **_BIND},
    "links into a store that is gone": _LINKS,
    "a mount unit alone": {f"{_UNIT_FILES}/nix.mount": MOUNT_UNIT},
    "a line in fstab": _BIND,
}
_LAYOUTS = {
    "mount": {"nix_dir": True},
    "moved": {"nix_dir": False},
    "namespace": {"nix_dir": False, "layout": "namespace"},
}


# The first entry of each layout always runs: it has everything that an installer leaves.
_HOSTS: list[tuple[str, str]] = [
    ("classic with a line in fstab", "mount"),
    ("determinate", "moved"),
    ("upstream", "namespace"),
    *(("determinate", layout) for layout in ("mount", "namespace")),
    *(("upstream", layout) for layout in ("mount", "moved")),
    ("classic with a line in fstab", "namespace"),
    *(("links into a store that is gone", layout) for layout in ("mount", "namespace")),
    *(("a line in fstab", layout) for layout in ("mount", "moved")),
    ("a mount unit alone", "moved"),
]
_CHOSEN = representatives(_HOSTS, itemgetter(1))
# This is the state after a user ran the installer: another store is mounted, and a daemon runs from
# it.
_COPIED = """
systemctl stop nix-daemon.socket nix-daemon.service
cp -a /var/lib/nix /var/home/nix
umount /nix
mount --bind /var/home/nix /nix
systemctl start nix-daemon.socket nix-daemon.service
"""


@pytest.mark.parametrize(("left", "layout"), _CHOSEN)
def test_fixes_cure_the_leftovers_of_an_installer(
    left: str, layout: str, make_nix_tree: NixTreeMaker, make_host: HostMaker
) -> None:
    """Find the fault after a boot with it. Run the first fix of each round, or the last one."""
    # In the namespace layout the host has no /nix, and a boot that requires one would end in
    # emergency mode with any Nix.
    needed = layout != "namespace" and left == "a line in fstab"
    files = {**_LEFT[left], **(_NEEDED if needed else {})}
    host = make_host(make_nix_tree(**_LAYOUTS[layout]))  # type: ignore[arg-type]
    host.boot()
    host.run(_STORE.format("/var/home/nix") + "\n" + script(files))
    host.reboot()
    pick = -(sorted(_LEFT).index(left) % 2)
    cure(host, pick)
    host.run(_KEPT.format("/var/home/nix"))
    is_well(host, shown=layout != "namespace")
    assert status(host)["layout"] == ("namespace" if layout == "namespace" else "mount")
    assert former(host) == {"traces": [], "stores": ["/var/home/nix"]}
    if PROXY in files:  # the setting applies to any Nix
        assert host.read(PROXY) == files[PROXY]
    for path in (path for path in files if path.startswith(f"{_UNIT_FILES}/") and path != PROXY):
        host.run(f"[ -L {_FORMER}{path} ] || [ -e {_FORMER}{path} ]")
        assert path in host.read(f"{_FORMER}/README")


def test_each_leftover_can_be_put_aside_separately_in_any_order(nix_host: Host) -> None:
    nix_host.run(_STORE.format("/var/home/nix") + "\n" + script(DETERMINATE))
    nix_host.reboot()
    traces = former(nix_host)["traces"]
    for trace in sorted(traces, key=lambda trace: trace["path"][::-1]):
        nix_host.run(f"nix-aurora set-aside --yes {shlex.quote(trace['path'])}")
    is_well(nix_host)
    nix_host.run("rm -r /var/home/nix /etc/nix-aurora.former")


def test_mount_enable_checks_before_it_moves(
    make_nix_tree: NixTreeMaker, make_host: HostMaker
) -> None:
    """Refuse a mount unit that would mount another store, here an empty one, on the new /nix."""
    host = make_host(make_nix_tree(nix_dir=False, layout="namespace"))
    host.boot()
    unit = f"{_UNIT_FILES}/nix.mount"
    host.run(f"mkdir /var/home/nix\n{script({unit: MOUNT_UNIT})}systemctl daemon-reload")
    enable = "nix-aurora mount enable --now --yes"
    refused = host.run(enable, check=False)
    assert refused.returncode == 1
    assert (
        f"cannot enable mount: {unit} mounts /var/home/nix on /nix; nothing was" in refused.output
    )
    hint = f"sudo nix-aurora set-aside {unit}"
    assert f"hint: {hint}\n" in refused.output
    assert status(host)["layout"] == "namespace"
    build(host, shown=False)
    host.run(f"{hint} --yes; {enable}")
    is_well(host)


def test_daemon_that_runs_from_the_other_store_is_stopped(nix_host: Host) -> None:
    nix_host.run(_COPIED)
    assert set(cure(nix_host)[0]) == {"nix-foreign-mount"}
    build(nix_host)
    nix_host.run("rm -rf /var/home/nix")


def test_reboot_is_named_if_nix_is_in_use(nix_host: Host) -> None:
    nix_host.run(_COPIED)
    nix_host.run("cd /nix/store; systemd-run --unit=user --same-dir sleep infinity")
    said = nix_host.run("nix-aurora set-aside --yes", check=False)
    assert said.returncode == 1
    assert "cannot unmount /nix: " in said.output
    assert "(process " in said.output
    assert "; the rest was set aside; a reboot unmounts /nix\n" in said.output
    assert "hint: sudo systemctl reboot\n" in said.output
    nix_host.reboot()
    has_come_up(nix_host)
    nix_host.run("rm -rf /var/home/nix")


def test_store_on_nix_itself_is_moved_beside_it(nix_tree: Tree, tmp_path: Path) -> None:
    """The host's root directory is writable; the moved store is complete, and doctor names it."""
    with Host(nix_tree, tmp_path / "host", ordinary=True) as host:
        host.run("systemctl stop nix-daemon.socket nix-daemon.service nix.mount")
        host.run(_STORE.format("/nix") + "\n" + script(CLASSIC))
        host.reboot()
        cure(host)
        host.run(_KEPT.format("/nix.before-nix-aurora"))
        is_well(host)
        assert former(host)["stores"] == ["/nix.before-nix-aurora"]
