"""A /nix for a read-only root that has none: nix-aurora mount, on a booted system."""

import json
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.nix_root import NO_OVERLAY, break_nix_root, mend_nix_root
from tests.whole import WHOLE, add_program, check_profile

_ENABLE = "nix-aurora mount enable --yes"
# The user manager has been up since before, and gets its environment anew.
_USER_UNIT = """
mkdir -p .config/systemd/user
printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh -c greet\\n' >.config/systemd/user/try.service
systemctl --user daemon-reload && systemctl --user start try.service
"""
# What a call of a program is replaced with, the root directory that the boot has in the end, and
# whether systemd calls the unit failed.
_FAULTS = {
    "overlay refused": (NO_OVERLAY, ("binds", False)),
    "bind refused": (
        'mount() { [[ $* != *"--rbind /var"* ]] || return 32; command mount "$@"; }',
        (None, True),
    ),
    "pivot refused": ("pivot_root() { return 1; }", (None, True)),
    "killed before the pivot": ("pivot_root() { kill -KILL $$; }", (None, True)),
    "killed after the pivot": (
        'pivot_root() { command pivot_root "$@"; kill -KILL $$; }',
        ("overlay", True),
    ),
    "no marker can be written": ("sync() { return 1; }", (None, True)),
}


def _status(host: Host) -> dict[str, object]:
    status: dict[str, object] = json.loads(host.run("nix-aurora mount status --json").stdout)
    return status


def _mounts(host: Host) -> dict[str, str]:
    """Give the source of each mount but that of /; services that restart have some of their own."""
    listing = host.run("findmnt --raw --noheadings --output TARGET,SOURCE").stdout
    pairs = [line.split(" ", 1) for line in listing.splitlines()]
    return {
        target: source
        for target, source in pairs
        if target != "/" and not target.startswith("/run/credentials/")
    }


def _findings(host: Host) -> dict[str, str | None]:
    """Give the fix of each finding that is more than a note."""
    report = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)
    return {
        finding["id"]: finding["fix"]
        for finding in report["findings"]
        if finding["severity"] != "note"
    }


@pytest.fixture(scope="module")
def stock_tree(make_nix_tree: NixTreeMaker) -> Tree:
    """Give a host whose root can have no /nix, with the package."""
    return make_nix_tree(nix_dir=False)


@pytest.fixture(scope="module")
def stock_host(stock_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Give such a host after its first boot; a module shares it."""
    with Host(stock_tree, tmp_path_factory.mktemp("mount") / "host") as host:
        yield host


def test_enabled_it_comes_with_the_next_boot_and_goes_with_the_one_after_disabling(
    stock_tree: Tree, make_host: HostMaker
) -> None:
    host = make_host(stock_tree)
    host.boot()
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    host.run(_ENABLE)
    assert host.run("[ -e /nix ]", check=False).returncode == 1
    assert "mount-not-yet" in _findings(host)
    # Slips that ended the boot's scripts when these ran the file.
    host.run("printf '%s\\n' 'exit 0' \"STORE_LAYOUT='mount\" >>/etc/nix-aurora.conf")
    host.reboot()
    assert host.failed_units() == []
    assert ": 'expected KEY=VALUE, got exit 0'" in host.journal("nix-layout.service")
    fix = _findings(host)["settings-file"]
    assert fix is not None
    assert "STORE_LAYOUT: expected one word" in host.run("nix-aurora mount status").stdout
    host.run(fix)
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    assert _status(host) == {
        **{"enabled": True, "root": "overlay", "mounted": True, "failed": False},
        **{"stopped": False, "switched_off": False, "laggards": []},
    }
    assert _findings(host) == {}
    host.run("[ ! -e /etc/nix-aurora.root-pending ]; [ ! -e /run/nix-root ]")
    host.run(WHOLE)
    add_program(host)
    check_profile(host)
    before = host.read("/etc/nix-aurora.conf")
    host.run("nix-aurora mount disable")
    assert host.read("/etc/nix-aurora.conf") == f"{before}STORE_LAYOUT=namespace\n"
    host.reboot()
    assert host.failed_units() == []
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    for action in ("enable --yes", "disable"):
        refused = f"mount -o remount,bind,ro /etc; nix-aurora mount {action}"
        result = host.run(refused, check=False)
        host.run("mount -o remount,bind,rw /etc")
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
        assert "/etc/nix-aurora.conf: Read-only file system" in result.stderr or (
            action == "disable"  # the file says so already, and it is systemctl that fails
        )
    host.run(_ENABLE)
    assert host.read("/etc/nix-aurora.conf") == before


def test_the_running_system_moves_at_once(stock_tree: Tree, make_host: HostMaker) -> None:
    host = make_host(stock_tree)
    host.boot()
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
    host.run_as("tester", _USER_UNIT)
    host.run("mkdir /var/srv/later; mount -t tmpfs later /var/srv/later; touch /srv/later/there")
    assert host.run_as("tester", "ls /srv/disk /srv/later").stdout.count("there") == 2
    host.run("systemctl daemon-reexec; su tester -c 'unshare -Urm true'")
    assert host.run_as("tester", "sudo id -u").stdout == "0\n"
    host.reboot()
    assert host.failed_units() == []
    check_profile(host)


def test_a_boot_that_does_not_come_up_is_the_last_one_that_tries(
    stock_tree: Tree, make_host: HostMaker
) -> None:
    host = make_host(stock_tree)
    host.boot()
    host.run(_ENABLE)
    hang = "/etc/systemd/system/hang.service"
    host.run(
        f"printf '[Unit]\\nBefore=multi-user.target\\n[Service]\\nType=oneshot\\n"
        f"ExecStart=/usr/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' >{hang};"
        " systemctl enable hang.service"
    )
    host.run("systemctl --no-block reboot")
    host.wait_for_exit(133)
    host.boot(wait=False)
    host.run("until [ -d /nix/store ]; do sleep 0.1; done")
    host.kill()
    host.boot(wait=False)
    host.run("until [ $(systemctl is-active hang.service) = activating ]; do sleep 0.1; done")
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    host.run("systemctl disable hang.service; systemctl kill --signal=KILL hang.service")
    host.wait_until_up()
    assert _status(host)["stopped"] is True
    fix = _findings(host)["mount-stopped"]
    host.reboot()  # coming up without it does not bring it back
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    assert fix is not None
    host.run(fix)
    assert _findings(host) == {}
    host.reboot()
    assert host.failed_units() == []
    assert host.read("/run/nix-aurora/layout") == "mount\n"


@pytest.mark.parametrize("name", _FAULTS)
def test_a_fault_leaves_a_whole_system(name: str, stock_tree: Tree, make_host: HostMaker) -> None:
    functions, (root, failed) = _FAULTS[name]
    host = make_host(stock_tree)
    host.boot()
    host.run(_ENABLE)
    break_nix_root(host, functions)
    host.reboot()
    assert _status(host)["root"] == root
    assert host.failed_units() == (["nix-root.service"] if failed else [])
    assert host.read("/run/nix-aurora/layout") == ("mount\n" if root else "namespace\n")
    host.run("! mountpoint -q /run/nix-root; [ ! -e /run/nix-root ]; ls /usr/bin/env /var/lib/nix")
    if root is None:
        host.run("[ ! -e /etc/nix-aurora.root-pending ]")
        mend_nix_root(host)
        fix = _findings(host)["mount-failed"]
        assert fix is not None
        host.run(fix)
        assert _findings(host) == {}
    add_program(host)
    check_profile(host)
