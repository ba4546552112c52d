"""Test faults on a host: everything still works afterwards, and so does the next boot."""

from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.store import DAMAGE, KILL, STEP
from tests.whole import add_program, build, check_profile, check_whole, derivation

pytestmark = pytest.mark.long

_SOCKET = "/var/lib/nix/daemon-socket/socket"
# This client greets the daemon repeatedly for some seconds, until it gets an answer.
_CLIENT = """
import socket, struct, sys, time
deadline = time.monotonic() + float(sys.argv[2])
while (left := deadline - time.monotonic()) > 0:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(left)
            client.connect(sys.argv[1])
            client.sendall(struct.pack("<QQ", 0x6E697863, 0x126))
            if client.recv(8, socket.MSG_WAITALL) == struct.pack("<Q", 0x6478696F):
                print("answered")
                break
    except OSError:
        time.sleep(0.01)
"""
_NOEXEC = """
cat >/usr/lib/systemd/system/noexec.service <<'END'
[Unit]
DefaultDependencies=no
Before=nix-layout.service
[Service]
Type=oneshot
ExecStart=/usr/bin/mount -o remount,bind,noexec /var
END
mkdir -p /usr/lib/systemd/system/nix-layout.service.wants
ln -s ../noexec.service /usr/lib/systemd/system/nix-layout.service.wants/
"""


@pytest.fixture
def upgraded(make_nix_tree: NixTreeMaker, make_host: HostMaker) -> Host:
    """Return a host with 2.26 and a user's profile, off before its first boot with 2.34."""
    host = make_host(make_nix_tree("trixie"))
    host.boot()
    add_program(host)
    check_whole(host)
    host.poweroff()
    return host


def test_boot_is_whole_after_power_loss_during_the_import(
    upgraded: Host, make_nix_tree: NixTreeMaker
) -> None:
    """Cut the power three times.

    Then a boot into the older deployment is complete, and so is a boot into the newer one after it.
    """
    newer = make_nix_tree("forky")
    for number, step in enumerate(("syscalls.sync", "run.place", "roots.add_roots")):
        hooked = newer.changed(
            upgraded.console.parent / f"hooked-{number}",
            f"""
            mkdir -p /usr/lib/systemd/system/nix-setup.service.d
            cat >/usr/lib/step.py <<'END'\n{STEP.read_text()}\nEND
            cat >/usr/lib/systemd/system/nix-setup.service.d/step.conf <<'END'
[Service]
ExecStart=
ExecStart=/usr/bin/python3 -I /usr/lib/step.py {step} '{KILL}'
END
            """,
        )
        upgraded.boot(hooked)
        assert upgraded.failed_units() == ["nix-setup.service"]
        assert f"reached: {step}" in upgraded.journal("nix-setup.service")
        check_profile(upgraded)
        upgraded.kill()
    upgraded.boot(make_nix_tree("trixie"))
    check_whole(upgraded)
    upgraded.reboot(newer)
    check_whole(upgraded)


def test_a_corrupt_package_leaves_the_older_nix_running(
    upgraded: Host, make_nix_tree: NixTreeMaker
) -> None:
    newer = make_nix_tree("forky")
    damage = f"""
        {DAMAGE}
        echo '!include /nix/var/nix/gcroots/nix-aurora/nix/etc/nix/sandbox.conf' \\
            >>/etc/nix/nix.custom.conf
    """
    upgraded.boot(newer.changed(upgraded.console.parent / "damaged", damage))
    assert upgraded.failed_units() == ["nix-setup.service"]
    assert "the package is damaged: " in upgraded.journal("nix-setup.service")
    check_profile(upgraded)
    # The older daemon runs, and the default profile has the older Nix.
    nix = "/nix/var/nix/profiles/default/bin/nix"
    assert "2.26.3" in upgraded.run_as("tester", f"{nix} --version; {nix} store info 2>&1").stdout
    upgraded.run_as("tester", f"{nix} build --impure --no-link --expr " + derivation("echo >$out"))
    assert upgraded.run_as("tester", "nix --version").stdout == "nix (Nix) 2.26.3\n"
    packaged = upgraded.run_as("tester", "/usr/bin/nix --version", check=False)
    assert (packaged.returncode, packaged.stdout) == (1, "")
    assert "systemctl" in packaged.stderr
    upgraded.reboot(newer)
    check_whole(upgraded)


@pytest.mark.parametrize("left", [0, 20], ids=["no space", "too little"])
def test_host_with_a_full_disk_boots_and_recovers(
    tree_with_nix: Tree, nix_tree: Tree, make_host: HostMaker, left: int
) -> None:
    """Boot without Nix on a full disk; with free space again, Nix is imported."""
    host = make_host(tree_with_nix, var_size=300 << 20)
    host.boot()
    host.run(
        "dd if=/dev/zero of=/var/ballast bs=1M 2>/dev/null || sync\n"
        f"truncate --size=-{left}M /var/ballast; sync"
    )
    host.reboot(nix_tree)
    assert "nix-setup.service" in host.failed_units()
    assert host.run_as("tester", "echo logged in").stdout == "logged in\n"
    host.run("rm /var/ballast; sync")
    host.run("systemctl restart nix-setup.service" if left else "systemctl --no-block reboot")
    if not left:
        host.wait_for_exit(133)
        host.boot()
    add_program(host)
    check_whole(host)


def test_noexec_mount_is_named_and_its_hint_works_while_a_client_waits(
    nix_tree: Tree, make_host: HostMaker, tmp_path: Path
) -> None:
    host = make_host(nix_tree.changed(tmp_path / "noexec", _NOEXEC))
    host.boot()
    assert host.failed_units() == ["nix-setup.service"]
    host.run("[ ! -e /var/lib/nix/.nix-aurora/unpack ]; ! ls -d /var/lib/nix/store/*")
    (tmp_path / "client.py").write_text(_CLIENT)
    host.copy_in(tmp_path / "client.py", "/run/client.py")
    host.run(
        f"setpriv --reuid=other --clear-groups python3 /run/client.py {_SOCKET} 120"
        " </dev/null >/run/client.out 2>&1 &\n"
        "sleep 1; for n in {1..8}; do systemctl restart nix-setup.service || :; done"
    )
    said = host.journal("nix-setup.service")
    assert "import failed: cannot use /var: it is mounted with noexec: no program of " in said
    assert "too quickly" not in said
    (hint,) = {line.partition("hint: ")[2] for line in said.splitlines() if "hint: " in line}
    host.run_as("tester", hint)
    host.run("until grep -q . /run/client.out; do sleep 0.1; done", timeout=60)
    assert host.read("/run/client.out").startswith("answered")
    host.run("systemctl reset-failed")
    add_program(host)
    check_whole(host)


def test_connections_do_not_restart_a_misconfigured_daemon_in_a_loop(
    nix_host: Host, tmp_path: Path
) -> None:
    """The daemon starts at most five times in 20 s, and works again with corrected settings."""
    (tmp_path / "client.py").write_text(_CLIENT)
    nix_host.copy_in(tmp_path / "client.py", "/run/client.py")
    client = f"setpriv --reuid=other --clear-groups python3 /run/client.py {_SOCKET}"
    nix_host.run(
        "cp -a /etc/nix/nix.custom.conf /run/; systemctl stop nix-daemon.service\n"
        "echo 'max-jobs = lots' >>/etc/nix/nix.custom.conf\n"
        f"{client} 20 >/run/client.out 2>&1"
    )
    assert "answered" not in nix_host.read("/run/client.out")
    starts = nix_host.journal("nix-daemon.service").count("failed with exit code")
    assert 1 <= starts <= 5
    nix_host.run("cp -a /run/nix.custom.conf /etc/nix/")
    assert nix_host.run(f"{client} 20").stdout == "answered\n"
    assert nix_host.run("systemctl is-active nix-daemon.socket").stdout == "active\n"
    nix_host.run("systemctl restart nix-daemon.service")
    add_program(nix_host)
    check_whole(nix_host)


def test_good_database_is_not_moved_for_another_fault(nix_host: Host) -> None:
    """Nix cannot open the database for a temporary reason, so the hint must keep the database."""
    database = "/nix/var/nix/db"
    nix_host.run(
        "systemctl stop nix-daemon.service; rm /var/lib/nix/.nix-aurora/imported\n"
        f"mount --bind {database} {database}; mount -o remount,bind,ro {database}"
    )
    result = nix_host.run("/usr/libexec/nix-aurora/import", check=False)
    nix_host.run(f"umount {database}")
    assert result.returncode == 1
    assert "import failed: cannot " in result.stderr
    hint = result.stderr.rpartition("hint: ")[2]
    assert "mv" not in hint
    assert "recover" not in hint
    nix_host.run("systemctl restart nix-setup.service")
    add_program(nix_host)
    check_whole(nix_host)


def test_disable_changes_nothing_if_the_image_has_a_nix(nix_host: Host) -> None:
    before = nix_host.read("/etc/nix-aurora.conf")
    result = nix_host.run("nix-aurora mount disable")
    assert result.stderr == "mount: the root directory has its own /nix: nothing was changed\n"
    assert nix_host.read("/etc/nix-aurora.conf") == before


@pytest.mark.parametrize(
    ("kill", "code"),
    [
        ("kill -KILL $(systemctl show --property=MainPID --value nix-daemon.service)", 0),
        ("systemctl kill --kill-whom=all --signal=KILL nix-daemon.service", 1),
    ],
    ids=["alone", "with its children"],
)
def test_build_works_after_the_daemon_was_killed(nix_host: Host, kill: str, code: int) -> None:
    """Kill the daemon alone, or with its builds, which are separate processes; then build again."""
    add_program(nix_host)
    log = "/var/home/tester/build.log"
    held = derivation("trap 'echo >$out; exit' USR1; echo started; while :; do :; done")
    nix_host.run_as(
        "tester",
        f"(nix build --impure --no-link -L --expr {held}; echo code $?) >{log} 2>&1 </dev/null &",
    )
    nix_host.run(f"until grep -q started {log}; do sleep 0.05; done\n{kill}")
    build(nix_host)
    nix_host.run(f"pkill -USR1 --group nixbld || :; until grep ^code {log}; do sleep 0.05; done")
    assert nix_host.read(log).splitlines()[-1] == f"code {code}"
    check_whole(nix_host)
