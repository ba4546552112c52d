"""Test that nix-aurora purge asks, removes everything of Nix, and nothing else."""

import pytest

from tests.harness.commands import Result
from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker

pytestmark = pytest.mark.long

_TYPED = "script --quiet --return --command '{command}' /dev/null"

# This kills purge when it removes the first directory.
_KILLED = """
PYTHONPATH=/usr/lib/nix-aurora python3 -c '
import os, signal
from nix_aurora_host import cli
os.rmdir = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
cli.main(["purge", "--yes"])'
"""
# This runs purge with a mount that appears inside the store after Nix was stopped.
_REFUSED = """
mkdir /var/lib/nix/disk
PYTHONPATH=/usr/lib/nix-aurora python3 -c '
import subprocess
from nix_aurora_host import cli
from nix_aurora_host.commands import purge
stop = purge._stop
def mounting():
    stop()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib/nix/disk"], check=True)
purge._stop = mounting
raise SystemExit(cli.main(["purge", "--yes"]))'
"""
_TIMER = "nix-database-backup.timer"


def _booted(tree: Tree, make_host: HostMaker) -> Host:
    host = make_host(tree)
    host.boot()
    return host


def _type(host: Host, answer: str) -> Result:
    """Run purge on a terminal, on which a user types ``answer``."""
    command = _TYPED.format(command="nix-aurora purge")
    return host.run(f"(sleep 1; echo {answer}; sleep 1) | {command}", check=False)


def test_purge_leaves_nothing_and_the_next_start_imports_again(
    nix_tree: Tree, make_host: HostMaker
) -> None:
    host = _booted(nix_tree, make_host)
    # purge must not follow these links and files, and they must not stop it.
    host.run(
        "mkdir /var/precious; echo kept >/var/precious/file\n"
        "ln -s /var/precious /var/lib/nix/link; ln -s /var/precious /var/lib/nix/store/link\n"
        "cd /var/lib/nix; python3 -c 'import os\n"
        'for _ in range(3000): os.mkdir("d"); os.chdir("d")\'; cd /\n'
        "systemctl start nix-daemon.service"
    )
    host.run_as("tester", "ln -s /nix/var/nix/profiles/per-user/tester/profile .nix-profile")
    result = host.run("nix-aurora purge --yes")
    assert "/var/lib/nix: removed\n" in result.stderr
    assert "/var/home/tester/.nix-profile\n" in result.stderr
    assert "MiB with every store path" in result.stderr
    host.run('[ ! -e /var/lib/nix ] && ! mountpoint /nix && [ -z "$(ls -A /nix)" ]')
    assert host.read("/var/precious/file") == "kept\n"
    assert host.failed_units() == []
    host.run("nix-aurora purge --yes")  # a second run finds nothing, and succeeds
    assert host.run(f"systemctl is-active {_TIMER}").stdout == "active\n"

    line = next(line for line in result.stderr.splitlines() if "systemctl start" in line)
    host.run_as("tester", line.strip())
    assert host.run("nix-aurora doctor").stdout.endswith("nix-aurora doctor: all is well\n")


def test_refused_purge_restarts_what_it_stopped(nix_tree: Tree, make_host: HostMaker) -> None:
    host = _booted(nix_tree, make_host)
    host.run_as("tester", "nix store info")
    refused = host.run(_REFUSED, check=False)
    assert refused.returncode == 1
    assert "nothing was removed, and Nix is started again\nhint: sudo umount " in refused.stderr
    host.run(f"systemctl is-active nix.mount nix-setup.service nix-daemon.socket {_TIMER}")
    host.run("umount /var/lib/nix/disk; rmdir /var/lib/nix/disk")
    assert host.failed_units() == []
    host.run_as("tester", "nix store info")
    assert host.run("nix-aurora doctor").stdout.endswith("nix-aurora doctor: all is well\n")


def test_boot_after_a_purge_imports_again(nix_tree: Tree, make_host: HostMaker) -> None:
    host = _booted(nix_tree, make_host)
    host.run("nix-aurora purge --yes")
    host.reboot()
    assert host.failed_units() == []
    assert host.run("nix-aurora doctor").stdout.endswith("nix-aurora doctor: all is well\n")


def test_purge_asks(nix_tree: Tree, make_host: HostMaker) -> None:
    host = _booted(nix_tree, make_host)
    for answer in ("no", "y", "''"):
        result = _type(host, answer)
        assert result.returncode == 1
        assert "nothing was removed" in result.output
    host.run("nix-aurora doctor")
    assert _type(host, "yes").returncode == 0
    host.run("[ ! -e /var/lib/nix ]")


def test_purge_refuses_users_and_unsafe_stores(nix_host: Host) -> None:
    nobody = nix_host.run("nix-aurora purge", check=False)
    assert nobody.returncode == 2
    assert (
        "there is no terminal for the question\nhint: sudo nix-aurora purge --yes" in nobody.stderr
    )
    user = nix_host.run_as("tester", "nix-aurora purge --yes", check=False)
    assert user.returncode == 2
    assert "hint: sudo nix-aurora purge" in user.stderr
    shown = nix_host.run_as("tester", "nix-aurora purge --dry-run")
    assert "/var/lib/nix: " in shown.stderr

    nix_host.run("mkdir /var/lib/nix/disk; mount -t tmpfs tmpfs /var/lib/nix/disk")
    inside = nix_host.run("nix-aurora purge --yes", check=False)
    assert inside.returncode == 1
    assert (
        "/disk: something is mounted inside the store; nothing was changed\nhint: sudo umount "
        in inside.stderr
    )
    nix_host.run("umount /var/lib/nix/disk; rmdir /var/lib/nix/disk")

    nix_host.run("cd /nix/store; sleep 600 </dev/null >/dev/null 2>&1 & echo $! >/run/pid")
    used = nix_host.run("nix-aurora purge --yes", check=False)
    assert used.returncode == 1
    assert f"hint: sudo kill {nix_host.read('/run/pid').strip()}" in used.stderr
    nix_host.run("kill $(cat /run/pid)")
    assert nix_host.run("nix-aurora doctor").stdout.endswith("nix-aurora doctor: all is well\n")


def test_link_to_another_disk_is_refused_before_nix_is_stopped(
    nix_tree: Tree, make_host: HostMaker
) -> None:
    host = _booted(nix_tree, make_host)
    host.run(
        "systemctl stop nix-daemon.socket nix-daemon.service nix.mount; mkdir /var/disk\n"
        "mv /var/lib/nix /var/disk/nix; ln -s /var/disk/nix /var/lib/nix\n"
        "systemctl start nix.mount nix-daemon.socket"
    )
    for words in ("--yes", "--dry-run"):
        refused = host.run(f"nix-aurora purge {words}", check=False)
        assert refused.returncode == 1
        assert "/var/lib/nix: expected a directory, got a link to /var/disk/nix" in refused.stderr
    host.run("systemctl is-active nix.mount nix-daemon.socket; nix-store --verify")


def test_killed_purge_is_repeated_or_the_next_boot_imports_again(
    nix_tree: Tree, make_host: HostMaker
) -> None:
    host = _booted(nix_tree, make_host)
    for _ in range(2):
        # The first removed directory is in .purge/: everything was renamed before.
        killed = host.run(_KILLED, check=False)
        assert killed.returncode != 0
        host.run("[ -d /var/lib/nix/.purge ] && [ ! -e /var/lib/nix/store ]")
        host.reboot()
        assert host.failed_units() == []
        host.run_as("tester", "nix-store --verify --check-contents; nix --version")
        assert host.run("nix-aurora doctor").stdout.endswith("nix-aurora doctor: all is well\n")
    assert "removed\n" in host.run("nix-aurora purge --yes").stderr
    host.run("[ ! -e /var/lib/nix ]")
