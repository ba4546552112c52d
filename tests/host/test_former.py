"""Hosts that had another Nix: doctor's fixes, as printed, make each of them well.

What the installers leave is in tests/leftovers.py, with the sources that say so.
"""

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.doctor import build, doctor
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

_ROUNDS = 3
_LOOPS = [str(path) for path in sorted(Path("/dev").glob("loop[0-9]*"))]
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


def _cure(host: Host, pick: int = 0) -> list[set[str]]:
    """Run a fix as it is printed until doctor is content; return what it found in each round."""
    rounds = []
    for _ in range(_ROUNDS + 1):
        found = doctor(host, "root")
        rounds.append({finding["id"] for finding in found})
        if not found:
            return rounds
        typed = f"echo yes | script --quiet --return --command {shlex.quote(found[pick]['fix'])}"
        said = host.run_as("tester", f"{typed} /dev/null", login=False, check=False)
        print(found[pick], said.output)
    raise AssertionError(rounds)


def _is_well(host: Host, *, shown: bool = True) -> None:
    """Nix works, and still does after a reboot that nothing spoils."""
    build(host, shown=shown)
    host.reboot()
    assert host.failed_units() == []
    assert host.run("systemctl is-system-running").stdout == "running\n"
    assert doctor(host, "root") == []
    assert doctor(host) == []
    build(host, shown=shown)


def _status(host: Host) -> dict[str, object]:
    status: dict[str, object] = json.loads(host.run("nix-aurora status --json").stdout)
    return status


_HOSTS = [
    *((left, layout) for left in ("determinate", "upstream") for layout in _LAYOUTS),
    *(("classic with a line in fstab", layout) for layout in ("mount", "namespace")),
    *(("links into a store that is gone", layout) for layout in ("mount", "namespace")),
    *(("a line in fstab", layout) for layout in ("mount", "moved")),
    ("a mount unit alone", "moved"),
]
# As a user of the installer has them: a mount that is in use, and a daemon that runs from it.
_COPIED = """
systemctl stop nix-daemon.socket nix-daemon.service
cp -a /var/lib/nix /var/home/nix
umount /nix
mount --bind /var/home/nix /nix
systemctl start nix-daemon.socket nix-daemon.service
"""
# On this machine, in a mount namespace of its own: $1 is the image, $2 an empty directory.
_SUBVOLUME = """
set -eu
truncate --size=256M "$1"
mkfs.btrfs --quiet "$1"
mount -o loop "$1" "$2"
btrfs --quiet subvolume create "$2/nix"
mkdir -p "$2/nix/store/kept" "$2/nix/var/nix/db"
: >"$2/nix/var/nix/db/db.sqlite"
"""


def _former(host: Host) -> dict[str, object]:
    former = _status(host)["former"]
    assert isinstance(former, dict)
    return former


@pytest.mark.parametrize(("left", "layout"), _HOSTS)
def test_what_an_installer_has_left_is_cured_by_the_fixes(
    left: str, layout: str, make_nix_tree: NixTreeMaker, make_host: HostMaker
) -> None:
    """Found after a boot with it; the first fix each time, or the last."""
    # Without a /nix, a boot that needs it would end in emergency mode, with any Nix and without.
    needed = layout != "namespace" and left == "a line in fstab"
    files = {**_LEFT[left], **(_NEEDED if needed else {})}
    host = make_host(make_nix_tree(**_LAYOUTS[layout]))  # type: ignore[arg-type]
    host.boot()
    host.run(_STORE.format("/var/home/nix") + "\n" + script(files))
    host.reboot()
    pick = -(sorted(_LEFT).index(left) % 2)
    _cure(host, pick)
    host.run(_KEPT.format("/var/home/nix"))
    _is_well(host, shown=layout != "namespace")
    assert _status(host)["layout"] == ("namespace" if layout == "namespace" else "mount")
    assert _former(host) == {"traces": [], "stores": ["/var/home/nix"]}
    if PROXY in files:  # it holds for any Nix
        assert host.read(PROXY) == files[PROXY]
    for path in (path for path in files if path.startswith(f"{_UNIT_FILES}/") and path != PROXY):
        host.run(f"[ -L {_FORMER}{path} ] || [ -e {_FORMER}{path} ]")
        assert path in host.read(f"{_FORMER}/README")


def test_each_can_be_put_aside_by_itself_in_any_order(
    make_nix_tree: NixTreeMaker, make_host: HostMaker
) -> None:
    host = make_host(make_nix_tree())
    host.boot()
    host.run(_STORE.format("/var/home/nix") + "\n" + script(DETERMINATE))
    host.reboot()
    traces = _former(host)["traces"]
    assert isinstance(traces, list)
    for trace in sorted(traces, key=lambda trace: trace["path"][::-1]):
        host.run(f"nix-aurora set-aside --yes {shlex.quote(trace['path'])}")
    _is_well(host)


def test_mount_enable_looks_before_it_moves(
    make_nix_tree: NixTreeMaker, make_host: HostMaker
) -> None:
    """A mount unit would put another store, here an empty one, on the new /nix."""
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
    assert _status(host)["layout"] == "namespace"
    build(host, shown=False)
    host.run(f"{hint} --yes; {enable}")
    _is_well(host)


def test_a_daemon_that_runs_from_the_other_store_is_stopped(nix_host: Host) -> None:
    nix_host.run(_COPIED)
    assert _cure(nix_host)[0] == {"nix-foreign-mount"}
    build(nix_host)
    nix_host.run("rm -rf /var/home/nix")


def test_where_nix_is_in_use_the_reboot_is_named(nix_host: Host) -> None:
    nix_host.run(_COPIED)
    nix_host.run("cd /nix/store; systemd-run --unit=user --same-dir sleep infinity")
    said = nix_host.run("nix-aurora set-aside --yes", check=False)
    assert said.returncode == 1
    assert "cannot unmount /nix: " in said.output
    assert "(process " in said.output
    assert "; the rest was put aside, and a reboot unmounts it\n" in said.output
    assert "hint: sudo systemctl reboot\n" in said.output
    nix_host.reboot()
    _is_well(nix_host)
    nix_host.run("rm -rf /var/home/nix")


def test_a_subvolume_named_in_fstab_is_unmounted_and_named(nix_tree: Tree, tmp_path: Path) -> None:
    image, empty = tmp_path / "host/var/nix.btrfs", tmp_path / "empty"
    empty.mkdir()
    loops = [f"--bind={device}" for device in ("/dev/loop-control", *_LOOPS)]
    with Host(nix_tree, tmp_path / "host", flags=loops) as host:
        make = ["unshare", "--mount", "sh", "-c", _SUBVOLUME, "make"]
        subprocess.run([*make, image, empty], check=True)
        host.run("echo '/var/nix.btrfs /nix btrfs loop,subvol=nix 0 0' >>/etc/fstab")
        host.reboot()
        assert _former(host)["stores"] == ["/nix"]
        assert {"nix-foreign-mount", "former-fstab"} <= _cure(host)[0]
        _is_well(host)


def test_what_lies_on_nix_itself_is_moved_beside_it(nix_tree: Tree, tmp_path: Path) -> None:
    """On a host whose root directory can be written; the store is whole, and named."""
    with Host(nix_tree, tmp_path / "host", ordinary=True) as host:
        host.run("systemctl stop nix-daemon.socket nix-daemon.service nix.mount")
        host.run(_STORE.format("/nix") + "\n" + script(CLASSIC))
        host.reboot()
        _cure(host)
        host.run(_KEPT.format("/nix.before-nix-aurora"))
        _is_well(host)
        assert _former(host)["stores"] == ["/nix.before-nix-aurora"]
