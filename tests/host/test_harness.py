"""Test the harness itself, on which the other tests of this tier depend."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nix_aurora.errors import ToolError
from tests.harness.nspawn import Host
from tests.harness.provides import provides_rpm
from tests.harness.roots import debian_root
from tests.harness.scratch import Scratch
from tests.harness.tree import Tree, layer_rpms
from tests.host.conftest import HostMaker

_SPEC = """\
Name: sample
Version: 1
Release: 1
Summary: A sample
License: MIT
BuildArch: noarch
%description
%install
mkdir -p %{{buildroot}}{owns}
echo content >%{{buildroot}}{owns}/sample
%post
echo scriptlet >/etc/sample-post
echo lost >/var/tmp/lost
%files
{owns}/sample
"""
# Commits that rpm-ostree assembles have this content in /var.
_KEPT_IN_VAR = "./lib/alternatives\n./lib/vagrant\n"


@pytest.fixture(scope="module")
def host(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Host(tree, tmp_path_factory.mktemp("shared") / "host") as host:
        yield host


def _build(directory: Path, owns: str) -> Path:
    """Build the sample RPM and its source RPM in a scratch root, and return a copy of the RPM."""
    spec = directory / "sample.spec"
    spec.write_text(_SPEC.format(owns=owns))
    with Scratch(debian_root(), binds={directory: "/mnt"}) as scratch:
        scratch.run("rpmbuild -bs --define '_srcrpmdir /mnt' /mnt/sample.spec")
        scratch.run("rpmbuild --rebuild --define '_rpmdir /mnt' /mnt/sample-1-1.src.rpm")
    return directory / "noarch" / "sample-1-1.noarch.rpm"


# --- scratch roots


def test_scratch_root_keeps_mounts_between_runs_but_not_afterwards(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("hello")
    with Scratch(debian_root()) as scratch:
        scratch.copy_in(tmp_path / "note", "/opt/deep/note")
        scratch.run("mkdir -p /nix /var/lib/nix && mount --bind /var/lib/nix /nix")
        scratch.run("cp /opt/deep/note /nix/note")
        assert scratch.read("/var/lib/nix/note") == "hello"
    assert not (debian_root() / "nix").exists()


def test_scratch_root_runs_as_a_user_and_without_network() -> None:
    with Scratch(debian_root()) as scratch:
        scratch.add_user("tester")
        assert scratch.run("id -un; echo $HOME", user="tester").stdout == "tester\n/home/tester\n"
        links = scratch.run("ip -brief link").stdout.splitlines()
        assert [link.split()[0] for link in links] == ["lo"]
        # Nix and the namespace layout need unprivileged user namespaces.
        scratch.run("bwrap --unshare-all --ro-bind / / --proc /proc true", user="tester")


def test_failed_script_reports_its_output() -> None:
    with Scratch(debian_root()) as scratch:
        with pytest.raises(ToolError, match=r"(?s)expected exit code 0, got 3.*the reason"):
            scratch.run("echo the reason; (exit 3); echo never")
        assert scratch.run("false | true", check=False).returncode == 1
        with pytest.raises(ToolError, match="got nothing for 1 s"):
            scratch.run("sleep 60", timeout=1)


def test_rpm_is_built_installed_and_erased_in_a_scratch_root(tmp_path: Path) -> None:
    rpm = _build(tmp_path, owns="/usr/lib/sample")
    with Scratch(debian_root()) as scratch:
        scratch.copy_in(provides_rpm(tmp_path), "/run/rpms/host-provides.rpm")
        scratch.copy_in(rpm, "/run/rpms/sample.rpm")
        scratch.run("rpm --install /run/rpms/*.rpm; rpm --verify sample")
        assert scratch.read("/etc/sample-post") == "scriptlet\n"
        scratch.run("rpm --erase sample; [ ! -e /usr/lib/sample/sample ]")


# --- trees


def test_layering_makes_a_new_tree_and_loses_var(tree: Tree, tmp_path: Path) -> None:
    rpm = _build(tmp_path, owns="/usr/lib/sample")
    layered = layer_rpms(tree, [rpm], tmp_path / "layer")
    with layered.scratch() as after, tree.scratch() as before:
        assert after.read("/etc/sample-post") == "scriptlet\n"
        assert "sample" in after.run("rpm -qa").stdout
        assert after.run("cd /var; find . -mindepth 2 | sort").stdout == _KEPT_IN_VAR
        assert before.run("ls /usr/lib/sample", check=False).returncode != 0


def test_layering_refuses_the_same_as_rpm_ostree(tree: Tree, tmp_path: Path) -> None:
    rpm = _build(tmp_path, owns="/nix/store")
    with pytest.raises(ToolError, match="/nix/store/sample"):
        layer_rpms(tree, [rpm], tmp_path / "layer")


def test_layering_reports_rpms_message(tree: Tree, tmp_path: Path) -> None:
    rpm = provides_rpm(tmp_path)  # the tree already has this package
    with pytest.raises(ToolError, match="already installed"):
        layer_rpms(tree, [rpm], tmp_path / "layer")


# --- booted hosts


def test_host_looks_like_fedora_atomic(host: Host) -> None:
    assert host.failed_units() == []
    assert host.run("systemctl is-system-running").stdout == "running\n"
    for path in ("/x", "/usr/x", "/nix"):
        attempt = host.run(f"mkdir {path}", check=False)
        assert "Read-only file system" in attempt.stderr
    host.run("touch /etc/x /var/x; [ -e /run/ostree-booted ]")
    assert host.run("readlink /home /root /usr/local").stdout.split() == [
        "var/home",
        "var/roothome",
        "../var/usrlocal",
    ]
    assert host.run("rpm -qa").stdout.startswith("host-provides")
    assert len(host.read("/etc/machine-id")) == 33
    assert "New seat" in host.journal("systemd-logind.service")


def test_short_script_returns_quickly(host: Host) -> None:
    start = time.monotonic()
    for _ in range(10):
        host.run("true")
    assert time.monotonic() - start < 2  # the script takes 0.2 s on an idle machine


def test_image_may_have_nix(tree_with_nix: Tree, make_host: HostMaker) -> None:
    host = make_host(tree_with_nix)
    host.boot()
    host.run("mkdir /var/lib/nix && mount --bind /var/lib/nix /nix && touch /nix/x")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("user", ["tester", "other"])
def test_login_shell_has_a_session_and_reads_profile_d(host: Host, user: str, shell: str) -> None:
    host.run("echo 'export FROM_PROFILE=yes' >/etc/profile.d/harness.sh")
    lines = host.run_as(
        user, "id -un; pwd; echo $XDG_RUNTIME_DIR; printenv FROM_PROFILE || echo none", shell=shell
    ).stdout.splitlines()
    uid = {"tester": 1000, "other": 1001}[user]
    # Fedora's fish does not read profile.d.
    profile = "none" if shell == "fish" else "yes"
    assert lines == [user, f"/var/home/{user}", f"/run/user/{uid}", profile]


def test_plain_shell_reads_nothing(host: Host) -> None:
    result = host.run_as("tester", "pwd; echo ${XDG_RUNTIME_DIR-unset}", login=False)
    assert result.stdout == "/var/home/tester\nunset\n"


def test_only_the_first_user_is_an_administrator(host: Host) -> None:
    assert host.run_as("tester", "sudo -n id -u").stdout == "0\n"
    assert host.run_as("other", "sudo -n id -u", check=False).returncode != 0


def test_lingering_user_has_a_manager(host: Host) -> None:
    host.linger("other")
    assert host.run_as("other", "systemctl --user is-system-running").stdout == "running\n"


def test_failed_units_are_named(host: Host) -> None:
    host.run("systemd-run --quiet --wait --unit=broken false", check=False)
    assert host.failed_units() == ["broken.service"]
    host.run("systemctl reset-failed")


def test_reboot_keeps_etc_and_var_and_may_change_the_tree(
    tree: Tree, make_host: HostMaker, tmp_path: Path
) -> None:
    host = make_host(tree)
    host.boot()
    host.run("echo kept >/etc/kept; echo kept >/var/kept; echo lost >/run/lost")
    first = host.read("/proc/sys/kernel/random/boot_id")
    host.reboot(tree.changed(tmp_path / "newer", "echo newer >/etc/newer; mkdir /usr/newer"))
    assert host.read("/proc/sys/kernel/random/boot_id") != first
    assert host.run("cat /etc/kept /var/kept /etc/newer").stdout == "kept\nkept\nnewer\n"
    host.run("[ ! -e /run/lost ] && [ -d /usr/newer ]")
    host.poweroff()
    host.boot(tree)
    host.run("[ -e /etc/kept ] && [ ! -e /usr/newer ] && [ ! -e /etc/newer ]")


def test_killed_host_boots_again(tree: Tree, make_host: HostMaker) -> None:
    host = make_host(tree)
    host.boot()
    host.run("echo kept >/var/kept; sleep 1000 >/dev/null 2>&1 &")
    host.kill()
    with pytest.raises(RuntimeError, match="off"):
        host.run("true")
    host.boot()
    assert host.read("/var/kept") == "kept\n"
    assert host.failed_units() == []


def test_small_var_becomes_full(tree: Tree, make_host: HostMaker) -> None:
    host = make_host(tree, var_size=64 << 20)
    host.boot()
    result = host.run("dd if=/dev/zero of=/var/big bs=1M", check=False)
    assert "No space left on device" in result.stderr
    host.reboot()
    assert int(host.run("stat -c %s /var/big").stdout) > 16 << 20


def test_nothing_outlives_killed_tests(tree: Tree, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.harness.nspawn import Host\n"
        "from tests.harness.tree import atomic_tree\n"
        "with Host(atomic_tree(), Path(sys.argv[1]), var_size=64 << 20) as host:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    state = tmp_path / "state"
    command = [sys.executable, "-c", script, str(state)]
    root = Path(__file__).parents[2]
    assert subprocess.run(command, cwd=root, check=False).returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while _traces(state) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _traces(state) == []


def _traces(state: Path) -> list[str]:
    """Return the processes and loop devices that belong to ``state``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(state) in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:  # the process has just ended
            continue
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        if str(state) in backing.read_text():
            found.append(str(backing))
    return found
