"""Test what an unprivileged user can do to root and others, and what they see of it."""

from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker
from tests.whole import IMPORT, add_program, build, check_store, check_whole

_OWN = "/var/lib/nix/.nix-aurora"
_CLIENT = """
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
held = []
for _ in range(int(sys.argv[2])):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect(sys.argv[1])
print("connected", flush=True)
time.sleep(600)
"""
_SOCKET = "/var/lib/nix/daemon-socket/socket"

# This creates a registered program of a user's own, and starts it. Its file name has a title, a
# color and a line that looks like purge's own.
_FORGER = r"""
set -e
mkdir -p /tmp/forger && cd /tmp/forger
name=$(printf 'x\033]0;title\007\033[2J\nthe store: removed')
cp /usr/bin/sleep "$name"
path=$(nix-store --add /tmp/forger)
"$path/$name" 600 </dev/null >/dev/null 2>&1 &
"""


# --- locks


@pytest.mark.parametrize(
    "attempt",
    [
        f"flock --nonblock {_OWN}/lock true",
        f"flock --nonblock --shared {_OWN} true",
        f"cat {_OWN}/imported",
        f"ls {_OWN}",
        f"mkdir {_OWN}/unpack",
        "flock --nonblock /var/lib/nix/var/nix/gc.lock true",
    ],
)
def test_user_can_open_no_file_of_the_import(nix_host: Host, attempt: str) -> None:
    result = nix_host.run_as("other", attempt, check=False)
    assert result.returncode != 0
    assert "Permission denied" in result.stderr


def test_unreadable_state_is_not_reported_as_missing(nix_host: Host) -> None:
    assert "all is well" in nix_host.run_as("other", "nix-aurora doctor").stdout
    assert "imported  yes: " in nix_host.run_as("other", "nix-aurora status").stdout


def test_boot_corrects_the_modes_of_an_upgraded_host(nix_host: Host) -> None:
    nix_host.run(f"chmod 0755 {_OWN}; chmod 0644 {_OWN}/lock")
    nix_host.reboot()
    # The mode of the directory also protects the lock.
    assert nix_host.run(f"stat --format=%a {_OWN}").stdout == "700\n"
    nix_host.run(f"chmod 0755 {_OWN}; chmod 0644 {_OWN}/lock; rm {_OWN}/imported; {IMPORT}")
    modes = nix_host.run(f"stat --format=%a {_OWN} {_OWN}/lock").stdout.split()
    assert modes == ["700", "600"]


# This runs the import with a wait of one second instead of ten minutes.
_HASTY = """
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, "/usr/lib/nix-aurora")
from nix_aurora_host.importer import locks, program
locks._PATIENCE = 1.0
sys.exit(program.main())
"""


@pytest.mark.parametrize("lock", [f"{_OWN}/lock", "/var/lib/nix/var/nix/gc.lock"])
def test_import_does_not_wait_forever(nix_host: Host, lock: str) -> None:
    nix_host.run(
        f"rm -f {_OWN}/imported\n"
        f"(flock {lock} sleep 60) </dev/null >/dev/null 2>&1 & echo $! >/run/holder"
    )
    try:
        result = nix_host.run(f"sleep 0.3; timeout 30 python3 -I -c '{_HASTY}'", check=False)
        assert result.returncode == 1
        assert f"cannot lock {lock}: another process has held it for 1 s" in result.stderr
        assert "hint: sudo lslocks" in result.stderr
    finally:
        nix_host.run(f"pkill -P $(cat /run/holder) sleep || :; {IMPORT}")
    check_store(nix_host)


# --- the store


def test_files_that_a_build_user_plants_are_not_read(nix_host: Host) -> None:
    """Let a build user own an endless file and a directory under names that the import needs."""
    add_program(nix_host)
    script = f"""
    . /usr/lib/nix-aurora/closure.env
    cacert=/var/lib${{CLOSURE_CACERT}} profile=/var/lib${{CLOSURE_PROFILE}}
    chmod -R u+w $cacert $profile; rm -r $cacert $profile {_OWN}/imported
    as="setpriv --reuid=nixbld1 --regid=nixbld --clear-groups"
    $as truncate --size=15T $cacert
    $as cp -r /etc/skel $profile
    timeout 60 {IMPORT}
    stat --format='%U %F' $cacert $profile
    find {_OWN}/aside -size +14000G -printf '%u %f\\n'
    """
    said = nix_host.run(script).stdout
    assert said.count("differs from the package: replacing it") == 2
    assert said.splitlines()[-3:-1] == ["root directory", "root directory"]
    assert said.splitlines()[-1].startswith("nixbld1 ")
    check_whole(nix_host)
    nix_host.run(f"rm -rf {_OWN}/aside")


def test_root_runs_no_nix_that_a_build_user_owns(nix_host: Host) -> None:
    script = f"""
    . /usr/lib/nix-aurora/closure.env
    nix=/var/lib$CLOSURE_NIX
    mv $nix /run/nix-that-was
    setpriv --reuid=nixbld1 --regid=nixbld --clear-groups bash -c '
        mkdir -p $0/bin
        printf "#!/bin/sh\\ntouch /run/planted-ran\\n" >$0/bin/nix-store
        chmod +x $0/bin/nix-store' $nix
    rm {_OWN}/imported
    timeout 60 {IMPORT}
    [ ! -e /run/planted-ran ]
    """
    assert "differs from the package: replacing it" in nix_host.run(script).stdout
    check_store(nix_host)
    nix_host.run(f"rm -rf {_OWN}/aside")


# --- the daemon


def test_idle_connections_of_one_user_block_nobody(nix_host: Host, tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(_CLIENT)
    nix_host.copy_in(tmp_path / "client.py", "/run/client.py")
    nix_host.run(
        f"setpriv --reuid=other --clear-groups python3 /run/client.py {_SOCKET} 2000"
        " </dev/null >/run/client.out 2>&1 & echo $! >/run/client.pid\n"
        "until grep -q connected /run/client.out; do sleep 0.1; done"
    )
    try:
        build(nix_host)
        print(
            nix_host.run(
                "systemctl show --property=MemoryCurrent,TasksCurrent nix-daemon.service;"
                " ss -xl | grep nix || :; free -m"
            ).stdout
        )
    finally:
        nix_host.run("kill $(cat /run/client.pid)")
    assert nix_host.failed_units() == []


# --- purge


def test_a_program_with_escapes_in_its_name_forges_no_line_of_purge(nix_host: Host) -> None:
    """S5: nothing in the name controls root's terminal, and each process has one line."""
    nix_host.run_as("tester", _FORGER)
    refused = nix_host.run("nix-aurora purge --yes", check=False)
    assert refused.returncode == 1
    assert "\x1b" not in refused.stderr
    assert "\x07" not in refused.stderr
    assert r"/x\x1b]0;title\x07\x1b[2J\nthe store: removed" in refused.stderr
    assert "the store: removed" not in refused.stderr.splitlines()
    hint = refused.stderr.splitlines()[-1]
    assert hint.startswith("hint: sudo kill ")
    nix_host.run(hint.removeprefix("hint: sudo "))


def test_mount_during_purges_question_is_kept(nix_tree: Tree, make_host: HostMaker) -> None:
    """S9: a bind mount of the same file system appears between the question and the answer."""
    host = make_host(nix_tree)
    host.boot()
    host.run("mkdir /var/precious /var/lib/nix/inside; echo kept >/var/precious/file")
    mount = "mount --bind /var/precious /var/lib/nix/inside"
    answer = f"(sleep 2; {mount}; echo yes; sleep 1)"
    asked = host.run(
        f"{answer} | script --quiet --return --command 'nix-aurora purge' /dev/null", check=False
    )
    assert asked.returncode == 1
    assert "/inside: something is mounted inside the store" in asked.output
    assert "nothing was changed" in asked.output
    assert host.read("/var/precious/file") == "kept\n"
    host.run("nix-store --verify --check-contents; systemctl is-active nix-daemon.socket")

    hint = next(line for line in asked.output.splitlines() if line.startswith("hint: sudo "))
    host.run(hint.removeprefix("hint: sudo "))
    host.run("nix-aurora purge --yes")
    assert host.read("/var/precious/file") == "kept\n"
    host.run("[ ! -e /var/lib/nix ]")
