"""Test the harness's machines, on which the other tests of this tier depend."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nix_aurora.errors import ToolError
from tests.harness import qemu
from tests.harness.qemu import REBOOT, Machine
from tests.ostree.conftest import DiskMaker, MachineMaker

_BOOTED = "ostree admin status | sed -n 's/.*origin refspec: //p' | head -n 1"


@pytest.fixture(scope="module")
def machine(disk: DiskMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Yield a booted host without the package, with one more disk."""
    place = tmp_path_factory.mktemp("base")
    (place / "more.img").write_bytes(b"more".ljust(1 << 20))
    with Machine(disk("base"), place / "machine", disks=[place / "more.img"]) as machine:
        yield machine
    machine.disk.unlink()


def test_root_is_composefs_and_cannot_get_nix(machine: Machine) -> None:
    assert machine.failed_units() == []
    assert machine.run("findmnt -no FSTYPE,SOURCE /").stdout.split() == ["overlay", "composefs"]
    for path in ("/nix", "/x", "/usr/x", "/sysroot/x"):
        attempt = machine.run(f"mkdir {path}", check=False)
        assert "Read-only file system" in attempt.stderr
    machine.run("touch /etc/x /var/x; [ -e /run/ostree-booted ]")
    assert machine.run("readlink /home /root /ostree").stdout.split() == [
        "var/home",
        "var/roothome",
        "sysroot/ostree",
    ]
    assert machine.run(_BOOTED).stdout == "base\n"


def test_script_returns_its_output_and_exit_code(machine: Machine) -> None:
    result = machine.run("echo out; echo $WORD >&2; exit 3", check=False, env={"WORD": "err"})
    assert (result.returncode, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert machine.run("false | true", check=False).returncode == 1
    with pytest.raises(ToolError, match=r"(?s)expected exit code 0, got 3.*the reason"):
        machine.run("echo the reason; (exit 3); echo never")
    many = machine.run("head -c 4000000 /dev/zero | tr '\\0' x").stdout
    assert many == "x" * 4000000


def test_slow_script_is_ended_with_its_children(machine: Machine) -> None:
    with pytest.raises(ToolError, match=r"(?s)got nothing for 5 s.*begun"):
        machine.run("echo begun; sleep 98765 & sleep 98765; true", timeout=5)
    assert machine.run("pgrep -f '^sleep 98765'", check=False).stdout == ""


def test_script_does_not_wait_for_its_daemon(machine: Machine) -> None:
    machine.run("sleep 1000 & echo $! >/run/left")
    machine.run("kill $(cat /run/left)")


def test_scripts_run_in_parallel(machine: Machine) -> None:
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(
            machine.run, "until [ -e /run/go ]; do sleep 0.1; done; cat /run/go", timeout=100
        )
        machine.run("echo gone >/run/go.part; mv /run/go.part /run/go")
        assert waiting.result().stdout == "gone\n"


def test_files_are_copied_in(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(range(256)) * 12000)
    machine.copy_in(tmp_path, "/var/deep/copied")
    assert machine.run("stat -c '%s %U' /var/deep/copied/big").stdout == "3072000 root\n"


def test_further_disks_are_found_by_name(machine: Machine) -> None:
    assert machine.run("head -c 4 /dev/disk/by-id/virtio-disk1").stdout == "more"


@pytest.mark.parametrize("user", ["tester", "other"])
def test_login_has_a_session(machine: Machine, user: str) -> None:
    lines = machine.run_as(user, "id -un; pwd; echo $XDG_RUNTIME_DIR").stdout.splitlines()
    uid = {"tester": 1000, "other": 1001}[user]
    assert lines == [user, f"/var/home/{user}", f"/run/user/{uid}"]
    sudo = machine.run_as(user, "sudo -n id -u", check=False)
    assert sudo.stdout == ("0\n" if user == "tester" else "")


def test_soft_reboot_keeps_the_kernel(machine: Machine) -> None:
    first = machine.read("/proc/sys/kernel/random/boot_id")
    machine.run("systemd-run --quiet --unit=ended sleep 1000")
    machine.soft_reboot()
    assert machine.read("/proc/sys/kernel/random/boot_id") == first
    assert machine.run("systemctl is-active ended", check=False).returncode != 0
    assert machine.failed_units() == []


def test_wrong_end_is_reported(machine: Machine) -> None:
    machine.run("systemd-run --quiet --on-active=1 systemctl poweroff")
    with pytest.raises(ToolError, match="expected guest-reset, got guest-shutdown"):
        machine.wait_for_exit(REBOOT)
    machine.kill()
    machine.boot()


def test_power_cut_loses_data_that_is_not_on_the_disk(machine: Machine) -> None:
    machine.run("echo kept >/var/kept; sync; echo lost >/var/lost")
    machine.kill()
    with pytest.raises(RuntimeError, match="off"):
        machine.run("true")
    with pytest.raises(ToolError, match="expected guest-reset, got none"):
        machine.wait_for_exit(REBOOT)
    machine.boot(arguments="harness.word=one")
    assert "harness.word=one" in machine.read("/proc/cmdline").split()
    assert machine.read("/var/kept") == "kept\n"
    assert machine.run("cat /var/lost", check=False).stdout == ""
    assert machine.failed_units() == []


def test_stopped_guest_reports_its_processors(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This must be the last test of this machine, which does not run afterwards."""
    monkeypatch.setattr(qemu, "_PATIENCE", 5.0)
    with pytest.raises(ToolError, match=r"(?s)guest-exec-status.*NMI.*Call Trace"):
        machine.run("kill -STOP $(pidof qemu-ga)", timeout=5)


def test_failed_start_reports_the_console(make_machine: MachineMaker) -> None:
    machine = make_machine("base")
    with pytest.raises(ToolError, match=r"(?s)the end of QEMU.*panic"):
        machine.boot(arguments="rdinit=/none")
