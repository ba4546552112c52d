"""Test a store on a separate disk: move it, boot with a missing or late disk, move it back."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree, atomic_tree
from tests.host.conftest import NixTreeMaker
from tests.host.disks import make_disk, make_host
from tests.host.doctor import build, cure, doctor
from tests.host.terminal import at_terminal
from tests.readme import commands
from tests.torture import chosen
from tests.whole import add_program, check_clean, check_whole, check_works

pytestmark = pytest.mark.long

_PAGE = "docs/disk.md"
# udev does not run here, so a disk has no label; these names replace it.
_NAMES = {
    "LABEL=nix": "/var/nix.btrfs",
    "compress=zstd:1": "loop,subvol=nix,compress=zstd:1",
}
_MOUNT = "findmnt --noheadings --output FSROOT,OPTIONS --mountpoint /var/lib/nix"
# This creates hard links between equal files, an attribute, an access control list, a pipe, and a
# user's own file.
_ODD = """
nix-store --optimise
own=/nix/var/nix/profiles/per-user/other
install -d -o other -g other $own
runuser -u other -- sh -c "echo text >$own/file; ln $own/file $own/link; mkfifo $own/pipe"
python3 -I -c '
import os, struct, sys
entries = (1, 6, -1), (2, 4, 1000), (4, 4, -1), (16, 4, -1), (32, 0, -1)
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
os.setxattr(sys.argv[1], "system.posix_acl_access", acl)
os.setxattr(sys.argv[1], "user.note", b"kept")
' $own/file
"""
# This lists all files in the store's directories by name, with their attributes and link counts.
_LIST = r"""
import os, stat, sys
top = sys.argv[1]
for part in ("store", "var/nix/profiles", "var/nix/gcroots"):
    for directory, names, files in os.walk(f"{top}/{part}"):
        names.sort()
        for name in sorted(names + files):
            path = f"{directory}/{name}"
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            size = (status.st_size, status.st_nlink) if stat.S_ISREG(kind) else ()
            link = os.readlink(path) if stat.S_ISLNK(kind) else ""
            attributes = {
                name: os.getxattr(path, name, follow_symlinks=False)
                for name in sorted(os.listxattr(path, follow_symlinks=False))
            }
            print(path[len(top):], oct(status.st_mode), status.st_uid, status.st_gid,
                  int(status.st_mtime), *size, link, attributes)
"""
# This does what chattr does, which is not in this tree: it switches the flag of a directory.
_NOCOW = """
import fcntl, os, struct, sys
directory = os.open(sys.argv[1], os.O_RDONLY)
(flags,) = struct.unpack("L", fcntl.ioctl(directory, 0x80086601, bytes(8)))
fcntl.ioctl(directory, 0x40086602, struct.pack("L", flags ^ 0x00800000))
"""
_DISK = "/etc/systemd/system/disk.service"
_DROP_IN = "/etc/systemd/system/var-lib-nix.mount.d"
# The mount waits for this unit, as systemd waits for the device that a label names.
_LATE = f"""
mkdir -p {_DROP_IN}
printf '[Unit]\\nRequires=disk.service\\nAfter=disk.service\\n' >{_DROP_IN}/late.conf
printf '[Unit]\\nDefaultDependencies=no\\n[Service]\\nType=oneshot\\n%s\\n' "$SERVICE" >{_DISK}
"""
_IN_TIME = f"rm -r {_DROP_IN} {_DISK}; systemctl daemon-reload"

_CUTS = [("copy.find_difference", False), ("run._systemctl", True), ("run._mount", True)]
# This kills the command at its first call of the function in $AT.
_KILLED = """
import os, signal, sys
sys.path.insert(0, "/usr/lib/nix-aurora")
sys.dont_write_bytecode = True
from nix_aurora_host import cli
from nix_aurora_host.move import copy, run
def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
where, name = os.environ["AT"].split(".")
setattr({"copy": copy, "run": run, "syscalls": run.syscalls}[where], name, kill)
sys.exit(cli.main(["move", "--yes", "/var/nix-new"]))
"""


@pytest.fixture(scope="module")
def tree(make_nix_tree: NixTreeMaker) -> Tree:
    """Return a tree like Aurora's: it has no /nix, and cannot create one."""
    return make_nix_tree(nix_dir=False)


@pytest.fixture(scope="module")
def host(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host with packages of a user, and with an empty disk."""
    place = tmp_path_factory.mktemp("disk") / "host"
    with make_host(tree, place) as host:
        make_disk(place, "nix.btrfs")
        add_program(host)
        yield host


def _follow(host: Host, heading: str) -> None:
    """Run the commands of a section of the page, except those that make a file system."""
    for command in commands(heading, _PAGE):
        if "mkfs" in command:
            continue
        for name, here in _NAMES.items():
            command = command.replace(name, here)  # noqa: PLW2901 - the name on this host
        question = r"Type yes to (?:move|return|finish)[^:]*: "
        asked = " move " in command and "--dry-run" not in command
        shown = at_terminal(host, command, *((question, "yes\r") if asked else ()))
        print(shown)
        assert shown.endswith(" exit 0\n"), f"{command}: {shown}"


def _list(host: Host, place: str) -> str:
    return host.run(f'python3 -I -c "$LIST" {place}', env={"LIST": _LIST}).stdout


def _notes(host: Host) -> dict[str, str]:
    report = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)
    found = report["findings"]
    return {note["id"]: note["fix"] for note in found if note["severity"] == "note"}


def _check_nothing_below(host: Host) -> None:
    """Fail if anything but empty directories is below the mount point."""
    assert host.run("find /var/lib/nix -mindepth 1 ! -type d").stdout == ""


def test_move_keeps_all_file_attributes(host: Host) -> None:
    """Move the store by the page's commands, to a subvolume with compression."""
    host.run(_ODD)
    before = _list(host, "/var/lib/nix")
    _follow(host, "Move the store that you have")
    assert _list(host, "/var/lib/nix") == before
    assert _list(host, "/var/lib/nix.before-move") == before
    root, options = host.run(_MOUNT).stdout.split()
    assert root == "/nix"
    assert "compress=zstd:1" in options
    check_whole(host)
    assert doctor(host, "root") == []
    assert "store-before-move" in _notes(host)
    host.reboot()
    check_whole(host)
    check_clean(host.run("NIX_REMOTE=local nix-store --verify --check-contents"))


def test_mount_options_are_accepted_or_reported(host: Host) -> None:
    """Tolerate nosuid and nodev; fix a read-only disk; report nodatacow as a note."""
    host.run("for at in /var/lib/nix /nix; do mount -o remount,bind,nosuid,nodev $at; done")
    build(host)
    host.run("for at in /var/lib/nix /nix; do mount -o remount,bind,suid,dev $at; done")
    host.run("systemctl stop nix-daemon.service; mount -o remount,ro /var/lib/nix")
    found = doctor(host)
    assert [finding["id"] for finding in found] == ["disk-read-only"]
    cure(host, found)
    build(host)
    host.run('python3 -I -c "$NOCOW" /var/lib/nix/store', env={"NOCOW": _NOCOW})
    assert _notes(host)["disk-without-checksums"] == "sudo chattr -C /var/lib/nix/store"


def test_missing_disk_is_reported_and_nothing_is_imported_below(host: Host) -> None:
    host.run("mv /var/nix.btrfs /var/away")
    host.reboot()
    assert host.failed_units() == ["var-lib-nix.mount"]
    _check_nothing_below(host)
    found = doctor(host)
    assert [finding["id"] for finding in found] == ["disk-missing"]
    for user in ("tester", "root"):
        said = host.run_as(user, "nix store info", check=False)
        assert said.returncode == 1
        assert "the file system that belongs on /var/lib/nix is not mounted" in said.output
    for program in ("import", "with-nix true"):
        assert host.run(f"/usr/libexec/nix-aurora/{program}", check=False).returncode == 1
    host.run("systemctl start nix-database-backup.service", check=False)
    _check_nothing_below(host)
    assert [finding["id"] for finding in doctor(host)] == ["disk-missing"]
    host.run("mv /var/away /var/nix.btrfs")
    cure(host, found)
    check_whole(host)


def test_boot_waits_for_a_late_disk(host: Host) -> None:
    late = "ExecStart=/bin/sh -c 'sleep 3; mv /var/away /var/nix.btrfs'"
    host.run(_LATE + "mv /var/nix.btrfs /var/away", env={"SERVICE": late})
    host.reboot()
    check_whole(host)
    host.run(_IN_TIME)


def test_boot_continues_if_the_disk_never_appears(host: Host) -> None:
    never = "ExecStart=/bin/sleep infinity\nTimeoutStartSec=5"
    host.run(_LATE, env={"SERVICE": never})
    host.reboot()
    assert host.failed_units() == ["disk.service"]
    _check_nothing_below(host)
    found = doctor(host)
    assert [finding["id"] for finding in found] == ["disk-missing"]
    host.run(f"{_IN_TIME}; systemctl reset-failed disk.service")
    cure(host, found)
    check_whole(host)


def test_documented_undo_restores_the_former_store(host: Host) -> None:
    path = build_own(host)
    _follow(host, "Go back")
    assert host.run(_MOUNT, check=False).stdout == ""
    check_whole(host)
    assert doctor(host, "root") == []
    assert host.run(f"ls -d {path}", check=False).returncode != 0
    host.run(f"ls -d /var/nix-new/{path.removeprefix('/nix/')}")
    host.reboot()
    check_whole(host)


def build_own(host: Host) -> str:
    """Add something to the store that the former store does not have."""
    return host.run("echo since >/run/since; nix-store --add /run/since").stdout.strip()


@pytest.mark.parametrize(("at", "switched"), chosen(_CUTS))
def test_interrupted_move_loses_nothing(host: Host, at: str, switched: bool) -> None:
    """Kill it at the end of the copy, after the edit of fstab, and after the last rename."""
    host.run("rm -r /var/nix-new/* /var/nix-new/.nix-aurora*")
    before = _list(host, "/var/lib/nix")
    killed = host.run('python3 -I -c "$RUN"', env={"RUN": _KILLED, "AT": at}, check=False)
    assert killed.returncode in {-9, 137}, killed.output
    host.kill()
    host.boot()
    assert (host.run(_MOUNT, check=False).stdout != "") == switched
    assert _list(host, "/var/lib/nix") == before
    check_works(host)
    assert ("move-unfinished" in _notes(host)) == switched
    host.run("nix-aurora move --yes /var/nix-new")
    check_whole(host)
    assert doctor(host, "root") == []
    assert "move-unfinished" not in _notes(host)
    host.run("nix-aurora move --yes --undo")
    check_whole(host)


def test_disk_mounted_before_the_installation_is_used(tree: Tree, tmp_path: Path) -> None:
    """Follow the page. Then replace the mount by a link; doctor's fix restores the mount."""
    place = tmp_path / "host"
    with make_host(atomic_tree(), place) as host:
        make_disk(place, "nix.btrfs")
        _follow(host, "Before you install nix-aurora")
        host.reboot(tree)
        assert host.run(_MOUNT).stdout.startswith("/nix ")
        add_program(host)
        check_whole(host)
        assert doctor(host, "root") == []
        host.run(
            "systemctl stop nix-daemon.socket nix-daemon.service;"
            " sed -i s,/var/lib/nix,/var/mnt/disk, /etc/fstab; mkdir -p /var/mnt/disk;"
            " umount --lazy /nix /var/lib/nix; rmdir /var/lib/nix; ln -s ../mnt/disk /var/lib/nix"
        )
        host.reboot()
        found = doctor(host)
        assert "store-link" in [finding["id"] for finding in found]
        cure(host, [finding for finding in found if finding["id"] == "store-link"])
        check_whole(host)
        host.reboot()
        assert host.run(_MOUNT).stdout.startswith("/nix ")
        check_whole(host)
        assert doctor(host, "root") == []
