"""Test a read-only root that cannot create a /nix: each boot moves onto one that has it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.nix_root import (
    FORGET_BIND,
    KILL_AFTER_PIVOT,
    KILL_BEFORE_PIVOT,
    REFUSE_BIND,
    REFUSE_OVERLAY,
    REFUSE_PIVOT,
    REFUSE_SYNC,
    avoid_overlay,
    break_nix_root,
    mend_nix_root,
)
from tests.torture import chosen
from tests.whole import WHOLE, add_program, check_profile, check_session, check_works

_ENABLE = "nix-aurora mount enable --yes"
# These faults have another result: the root directory at the end of the boot, and whether systemd
# reports the unit as failed.
_FAULTS = {
    "overlay refused": (REFUSE_OVERLAY, ("binds", False)),
    "bind refused": (REFUSE_BIND, (None, True)),
    "a directory that is another one": (FORGET_BIND, (None, True)),
    "pivot refused": (REFUSE_PIVOT, (None, True)),
    "killed before the pivot": (KILL_BEFORE_PIVOT, (None, True)),
    "killed after the pivot": (KILL_AFTER_PIVOT, ("overlay", True)),
    "no marker can be written": (REFUSE_SYNC, (None, True)),
}
_HANG = """
printf '[Unit]\\nBefore=multi-user.target\\n[Service]\\nType=oneshot\\n\\
ExecStart=/usr/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' \\
    >/etc/systemd/system/hang.service
systemctl enable hang.service
"""
_HANGS = "until [ $(systemctl is-active hang.service) = activating ]; do sleep 0.1; done"
_UNHANG = "systemctl disable hang.service; systemctl kill --signal=KILL hang.service"
_OLDER = """
mkdir -p /etc/systemd/system/sysinit.target.wants
ln -s /usr/lib/systemd/system/nix-root.service /etc/systemd/system/sysinit.target.wants/
: >/etc/nix-aurora.root-pending
systemctl daemon-reload
"""
_UNIT = """
mkdir -p /etc/systemd/system/nix-root.service.d
cat >/etc/systemd/system/nix-root.service.d/etc.conf
systemctl daemon-reload
"""
_OVERLAY = "mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work etc /etc"
# These change /etc into states in which nix-root does not move.
_UNSUITABLE = {
    "lost at a reboot": f"""{{
        echo [Service]
        echo 'ExecStartPre=/usr/bin/mkdir /run/upper /run/work'
        echo 'ExecStartPre=/usr/bin/{_OVERLAY}'
    }} | {{ {_UNIT} }}""",
    "read-only": f"""{{
        echo [Service]
        echo 'ExecStartPre=/usr/bin/mount -o remount,bind,ro /etc'
        echo 'ExecStartPost=/usr/bin/mount -o remount,bind,rw /etc'
    }} | {{ {_UNIT} }}""",
}
PENDING = "/etc/nix-aurora.root-pending"
# These directories are not empty; units mount something on some of them.
_IMAGE = """
mkdir -p /boot /by-fstab '/a b' /plain /closed
chown 2:0 /closed
chmod 0700 /closed
for place in /boot /by-fstab '/a b' /plain /closed; do touch "$place/of-the-image"; done
echo text >/a-file
ln -s plain /a-link
for place in /boot '/a b'; do
    unit=$(systemd-escape --path --suffix=mount "$place")
    cd /usr/lib/systemd/system
    printf '[Mount]\\nWhat=tmpfs\\nType=tmpfs\\nWhere=%s\\n' "$place" >"$unit"
    mkdir -p local-fs.target.wants
    ln -s "../$unit" "local-fs.target.wants/$unit"
done
"""


def _status(host: Host) -> dict[str, object]:
    status: dict[str, object] = json.loads(host.run("nix-aurora mount status --json").stdout)
    return status


def _mounts(host: Host) -> dict[str, str]:
    """Return the source of each mount except / and the mounts of services that restart."""
    listing = host.run("findmnt --raw --noheadings --output TARGET,SOURCE").stdout
    pairs = [line.split(" ", 1) for line in listing.splitlines()]
    return {
        target: source
        for target, source in pairs
        if target != "/" and not target.startswith("/run/credentials/")
    }


def _findings(host: Host) -> dict[str, str | None]:
    """Return the fix of each finding that is more than a note."""
    report = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)
    return {
        finding["id"]: finding["fix"]
        for finding in report["findings"]
        if finding["severity"] != "note"
    }


def _fail_boot(host: Host) -> None:
    """Boot with a unit that hangs, and cut the power."""
    host.boot(wait=False)
    host.run(_HANGS)
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    host.kill()


@pytest.fixture(scope="module")
def stock_tree(make_nix_tree: NixTreeMaker) -> Tree:
    """Return a host with the package, whose root cannot have a /nix."""
    return make_nix_tree(nix_dir=False)


@pytest.fixture(scope="module")
def stock_host(stock_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Return a stock host after its first boot; a module shares it."""
    with Host(stock_tree, tmp_path_factory.mktemp("mount") / "host") as host:
        yield host


def test_first_boot_moves_and_says_how_to_undo_it(stock_host: Host) -> None:
    assert stock_host.failed_units() == []
    assert _status(stock_host) == {
        **{"enabled": True, "root": "overlay", "mounted": True, "unmoved": None},
        **{"stopped": False, "failed_boots": [], "switched_off": False, "laggards": []},
    }
    assert _findings(stock_host) == {}
    stock_host.run(f"[ ! -e {PENDING} ]; [ ! -e /run/nix-root ]; [ ! -w / ]")
    said = stock_host.journal("nix-root.service")
    assert "moved the system to a read-only root directory with /nix (overlay)" in said
    assert "to undo this: sudo nix-aurora mount disable" in said
    status = stock_host.run("nix-aurora status").stdout
    assert "to undo this: sudo nix-aurora mount disable" in status
    stock_host.run(WHOLE)
    add_program(stock_host)
    check_works(stock_host)
    stock_host.linger("tester")
    check_session(stock_host)


def test_unit_that_starts_later_moves_nothing(stock_host: Host) -> None:
    stock_host.run("systemctl restart nix-root.service; systemctl start nix-root.service")
    assert _status(stock_host)["root"] == "overlay"
    assert len(stock_host.run("findmnt --noheadings /").stdout.splitlines()) == 1


def test_disable_keeps_the_root_until_enable(stock_tree: Tree, make_host: HostMaker) -> None:
    host = make_host(stock_tree)
    host.boot()
    before = host.read("/etc/nix-aurora.conf")
    host.run("nix-aurora mount disable")
    assert host.read("/etc/nix-aurora.conf") == f"{before}STORE_LAYOUT=namespace\n"
    host.reboot()
    assert host.failed_units() == []
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    assert _findings(host) == {}
    # An older package leaves this link, with which any start of a unit starts sysinit.target, and
    # with it this unit.
    host.run(f"{_OLDER}systemctl start nix-daemon.service; [ ! -e /nix ]")
    for action in ("enable --yes", "disable"):
        refused = f"mount -o remount,bind,ro /etc; nix-aurora mount {action}"
        result = host.run(refused, check=False)
        host.run("mount -o remount,bind,rw /etc")
        assert "Traceback" not in result.stderr
        if action != "disable":  # the file already disables it
            assert result.returncode == 1
            assert "/etc/nix-aurora.conf: Read-only file system" in result.stderr
    host.run(_ENABLE)
    assert host.read("/etc/nix-aurora.conf") == before
    assert "nix-root-not-yet" in _findings(host)
    host.run("systemctl restart nix-root.service nix-layout.service; [ ! -e /nix ]")
    host.run("systemctl stop nix-daemon.service; systemctl start nix-daemon.service")
    host.run("[ ! -e /nix ]")
    # These mistakes ended the boot's scripts when the scripts still executed the file.
    host.run("printf '%s\\n' 'exit 0' \"STORE_LAYOUT='mount\" >>/etc/nix-aurora.conf")
    host.reboot()
    assert host.failed_units() == []
    assert ": 'expected KEY=VALUE, got exit 0'" in host.journal("nix-layout.service")
    fix = _findings(host)["settings-file"]
    assert fix is not None
    assert "STORE_LAYOUT: expected one word" in host.run("nix-aurora mount status").stdout
    host.run(fix)
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    assert _findings(host) == {}


def test_running_system_moves_on_request(stock_tree: Tree, make_host: HostMaker) -> None:
    host = make_host(stock_tree)
    host.boot()
    host.run("nix-aurora mount disable")
    host.reboot()
    host.linger("tester")
    host.run("mkdir -p /var/srv/disk; mount -t tmpfs disk /var/srv/disk; touch /srv/disk/there")
    before = _mounts(host)
    host.run(f"{_ENABLE} --now")
    after = _mounts(host)
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"/nix", "/usr"}
    assert host.failed_units() == []
    assert _findings(host) == {}
    add_program(host)
    check_profile(host)
    check_session(host)
    host.run("mkdir /var/srv/later; mount -t tmpfs later /var/srv/later; touch /srv/later/there")
    assert host.run_as("tester", "ls /srv/disk /srv/later").stdout.count("there") == 2
    host.run("systemctl daemon-reexec; su tester -c 'unshare -Urm true'")
    assert host.run_as("tester", "sudo id -u").stdout == "0\n"


def test_two_failed_boots_disable_the_move(stock_tree: Tree, make_host: HostMaker) -> None:
    host = make_host(stock_tree)
    host.boot()
    host.run(_HANG)
    host.run("systemctl --no-block reboot")
    host.wait_for_exit(133)
    # An orderly shutdown is not a failed boot, even while a unit still hangs.
    for _ in range(3):
        host.boot(wait=False)
        host.run(_HANGS)
        assert host.read("/run/nix-aurora/layout") == "mount\n"
        host.run("systemctl --no-block reboot")
        host.wait_for_exit(133)
    _fail_boot(host)
    _fail_boot(host)
    host.boot(wait=False)
    host.run(_HANGS)
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    host.run(_UNHANG)
    host.wait_until_up()
    stopped = _status(host)
    assert (stopped["stopped"], stopped["unmoved"]) == (True, "failed-boots")
    again = "sudo nix-aurora mount enable"
    assert again in host.journal("nix-root.service")
    assert again in host.run("nix-aurora status").stdout
    add = 'nix profile install "$(nix-store --add .profile)"'
    said = host.run_as("tester", f"touch .profile; {add}", check=False).stderr
    assert "with /nix failed; to try again: sudo nix-aurora mount enable" in said
    host.reboot()  # a boot without the move does not enable it again
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    fix = _findings(host)["nix-root-stopped"]
    assert fix is not None
    host.run(fix)
    assert _findings(host) == {}
    assert _status(host)["root"] == "binds"  # the kind that failed is not tried again
    host.reboot()
    assert host.failed_units() == []
    assert _status(host)["root"] == "binds"

    # If the other kind fails, too, no kind is left, and the fix is to disable the move.
    host.run(_HANG)
    host.run("systemctl --no-block reboot")
    host.wait_for_exit(133)
    _fail_boot(host)
    _fail_boot(host)
    host.boot(wait=False)
    host.run(f"{_HANGS}; {_UNHANG}")
    host.wait_until_up()
    refused = host.run(_ENABLE, check=False)
    assert "each kind of root directory failed with this kernel" in refused.stderr
    fix = _findings(host)["nix-root-stopped"]
    assert fix is not None
    host.run(fix)
    assert _findings(host) == {}
    host.run("nix-aurora mount enable --again --yes")
    host.reboot()
    assert _status(host)["root"] == "overlay"


@pytest.mark.parametrize("name", chosen(list(_UNSUITABLE)))
def test_host_that_cannot_record_failed_boots_does_not_move(
    name: str, stock_tree: Tree, make_host: HostMaker
) -> None:
    host = make_host(stock_tree)
    host.boot()
    host.run(_UNSUITABLE[name])
    host.reboot()
    assert host.failed_units() == []
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    assert "/etc cannot keep a note of boots that fail" in host.run("nix-aurora status").stdout
    assert _findings(host) == {}
    assert "nix-root-unsuitable" in host.run("nix-aurora doctor").stdout
    refused = host.run(_ENABLE, check=False)
    assert refused.returncode == 1
    assert "cannot enable mount: /etc cannot keep a note of boots that fail" in refused.stderr


def test_mount_points_of_systemd_stay_mount_points_with_any_image(
    stock_tree: Tree, make_host: HostMaker, tmp_path: Path
) -> None:
    tree = stock_tree.changed(tmp_path / "image", _IMAGE)
    host = make_host(tree)
    host.boot()
    avoid_overlay(host)
    host.run("echo 'more /by-fstab tmpfs defaults 0 0' >>/etc/fstab")
    host.reboot()
    assert host.failed_units() == []
    assert _status(host)["root"] == "binds"
    for mounted in ("/boot", "/by-fstab", "/a b"):
        host.run(f"mountpoint '{mounted}'; [ ! -e '{mounted}/of-the-image' ]")
    host.run("! mountpoint /plain; [ -e /plain/of-the-image ]; [ -e /a-file ]; ls -l /a-link/")
    modes = "stat --format='%a %u:%g' /plain /closed /boot"
    assert host.run(modes).stdout.splitlines()[1] == "700 2:0"


@pytest.mark.parametrize("name", chosen(list(_FAULTS)))
def test_fault_leaves_a_whole_system(name: str, stock_tree: Tree, make_host: HostMaker) -> None:
    fault, (root, failed) = _FAULTS[name]
    host = make_host(stock_tree)
    host.boot()
    break_nix_root(host, fault)
    host.reboot()
    assert _status(host)["root"] == root
    assert host.failed_units() == (["nix-root.service"] if failed else [])
    assert host.read("/run/nix-aurora/layout") == ("mount\n" if root else "namespace\n")
    host.run("! mountpoint -q /run/nix-root; [ ! -e /run/nix-root ]; ls /usr/bin/env /var/lib/nix")
    if root is None:
        host.run(f"[ ! -e {PENDING} ]")
        # A later start, which an older package's link causes, neither moves the system nor hides
        # the failure.
        host.run("systemctl start nix-root.service; [ ! -e /nix ]")
        assert "nix-root.service failed" in host.run("nix-aurora status").stdout
        mend_nix_root(host)
        fix = _findings(host)["nix-root-failed"]
        assert fix is not None
        host.run(fix)
        assert _findings(host) == {}
    add_program(host)
    check_profile(host)
