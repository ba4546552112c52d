"""Test the acceptance script over ssh: it succeeds only if all promises hold.

ssh reaches a real sshd on the loopback of the guest. The script does not show checks of programs
that Debian does not have (rpm-ostree, bootc), or of SELinux, which a container cannot have.
"""

import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from accept.outcome import Result
from tests.harness.container import REBOOT
from tests.harness.deployment import Deployment
from tests.lint.shell import TOP
from tests.nix_root import allow_overlay, avoid_overlay
from tests.ostree.accepting import ELSEWHERE, UNASKED, Guest, check_green, let_in
from tests.ostree.conftest import DeploymentMaker, DiskMaker
from tests.whole import add_program, check_profile

_NEEDS_DAEMON = frozenset(
    {
        *("build", "sudo", "profile-add", "bare-name", "user-unit", "desktop-entry"),
        "profile-remove",
    }
)
_FLAKE = """
mkdir -p /var/srv/flake
cat >/var/srv/flake/flake.nix <<'END'
{
  outputs = _: {
    packages.x86_64-linux.offline = derivation {
      name = "offline";
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-c" ''
        mkdir -p $out/bin
        echo 'echo offline 1.0' >$out/bin/offline
        chmod +x $out/bin/offline
      '' ];
    };
  };
}
END
"""


class Fault(NamedTuple):
    """A promise that is broken on purpose: the fault, its repair, and the checks that fail."""

    name: str
    script: str
    mend: str
    failed: set[str]
    not_shown: set[str]


_DOCTORS = {"doctor", "doctor-root"}
_FAULTS = (
    Fault(
        "the socket is masked",
        "systemctl stop nix-daemon.service nix-daemon.socket; systemctl mask nix-daemon.socket",
        "systemctl unmask nix-daemon.socket; systemctl start nix-daemon.socket",
        {"units", "daemon", *_DOCTORS},
        set(_NEEDS_DAEMON),
    ),
    Fault(
        "the build users are gone",
        "for user in $(getent group nixbld | cut -d: -f4 | tr , ' '); do userdel $user; done;"
        "groupdel nixbld; systemctl restart nix-daemon.service",
        "systemd-sysusers nix-aurora.conf; systemctl restart nix-daemon.service",
        {"users", "build", *_DOCTORS},
        set(),
    ),
    Fault(
        "the script of logins is empty",
        "cp /etc/profile.d/nix.sh /tmp/nix.sh; : >/etc/profile.d/nix.sh",
        "mv /tmp/nix.sh /etc/profile.d/nix.sh",
        {"bare-name", "user-unit", "desktop-entry", *_DOCTORS},
        set(),
    ),
    Fault(
        "a unit has failed",
        "mkdir -p /run/systemd/system/nix-database-backup.service.d;"
        "printf '[Service]\\nExecStart=\\nExecStart=false\\n'"
        " >/run/systemd/system/nix-database-backup.service.d/fault.conf;"
        "systemctl daemon-reload; systemctl start nix-database-backup.service || :",
        "rm -r /run/systemd/system/nix-database-backup.service.d; systemctl daemon-reload;"
        "systemctl reset-failed",
        {"units"},
        {"system"},
    ),
    Fault(
        "builds have no sandbox",
        "cp /etc/nix/nix.custom.conf /tmp/own; echo 'sandbox = false' >>/etc/nix/nix.custom.conf;"
        "systemctl restart nix-daemon.service",
        "mv /tmp/own /etc/nix/nix.custom.conf; systemctl restart nix-daemon.service",
        {"build", *_DOCTORS},
        set(),
    ),
)


@pytest.fixture(scope="module")
def guest(disk: DiskMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest[Deployment]]:
    """Yield a stock composefs host in its first boot with the package, which moved its root."""
    place = tmp_path_factory.mktemp("accept")
    with Deployment(disk("nix-forky"), place / "host") as host:
        yield let_in(host, place)
    host.disk.unlink()


def test_overlay_is_green_and_nothing_remains(guest: Guest[Deployment]) -> None:
    guest.host.run(_FLAKE)
    # fish creates directories at its first login, which doctor examines.
    guest.host.run_as("tester", "fish --login --command true")
    before = guest.traces()
    run = guest.accept("--collect", "--network=path:/var/srv/flake#offline")
    assert run.checks["network"]["result"] == "ok", run.checks["network"]
    assert run.checks["collect"]["result"] == "ok", run.checks["collect"]
    unasked = ("network", "collect")
    run.checks.update({name: {**run.checks[name], "result": "not shown"} for name in unasked})
    check_green(run, "mount: / is an overlay")
    assert guest.traces() == before


def test_profile_stays_and_the_report_is_masked(guest: Guest[Deployment]) -> None:
    add_program(guest.host)
    before = guest.traces()
    guest.accept()
    report = (guest.place / "report.json").read_text()
    assert "tester" not in report
    assert "/var/home" not in report
    assert "aurora@" not in report
    assert guest.traces() == before
    check_profile(guest.host)


@pytest.mark.parametrize("fault", _FAULTS, ids=[fault.name for fault in _FAULTS])
def test_broken_promise_is_red(fault: Fault, guest: Guest[Deployment]) -> None:
    guest.host.run(fault.script)
    try:
        run = guest.accept()
    finally:
        guest.host.run(fault.mend)
    assert run.named(Result.FAILED) == fault.failed
    assert run.named(Result.NOT_SHOWN) == ELSEWHERE | UNASKED | fault.not_shown
    assert run.code == 1
    for name in fault.failed:
        assert run.checks[name]["next"]


def test_checks_that_need_root_are_not_shown_without_it(guest: Guest[Deployment]) -> None:
    check_green(guest.accept(user="other"), "mount", ("read-only", "doctor-root", "sudo", "ostree"))


def test_interrupted_run_cleans_up(guest: Guest[Deployment]) -> None:
    before = guest.traces()
    with subprocess.Popen(guest.command(), cwd=TOP, stderr=subprocess.PIPE, text=True) as process:
        guest.host.run("until ls /run/user/*/nix-aurora-accept-*/pid; do sleep 0.05; done")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130, said
    assert "left on the host" not in said
    assert guest.traces() == before


def test_binds_are_green(guest: Guest[Deployment]) -> None:
    avoid_overlay(guest.host)
    guest.reboot()
    check_green(guest.accept(), "mount: / is made of binds")
    allow_overlay(guest.host)


def test_namespace_is_green_within_its_promises(guest: Guest[Deployment]) -> None:
    guest.host.run("nix-aurora mount disable")
    guest.reboot()
    run = guest.accept()
    check_green(run, "namespace", ("read-only", "user-unit", "desktop-entry"))
    assert "inside nix-aurora shell" in run.checks["bare-name"]["detail"]


def test_reboots_and_a_rollback_are_green(guest: Guest[Deployment]) -> None:
    guest.host.run("nix-aurora mount enable --yes; ostree admin deploy --os=default nix-forky")
    guest.reboot()

    def boot_again() -> None:
        """Boot the host again after each of three reboots, as a real machine does."""
        for _ in range(3):
            guest.host.wait_for_exit(REBOOT)
            guest.host.boot(wait=False)
            guest.door.follow()

    with ThreadPoolExecutor() as pool:
        boots = pool.submit(boot_again)
        run = guest.accept("--reboots")
        boots.result()
    assert run.named(Result.FAILED) == set()
    assert run.code == 0
    for boot in ("reboot", "rollback", "back"):
        assert run.checks[boot]["result"] == "ok"
        assert run.checks[f"{boot}/build"]["result"] == "ok"
    check_profile(guest.host)


def test_image_with_nix_is_green_through_make(
    make_deployment: DeploymentMaker, tmp_path: Path
) -> None:
    host = make_deployment("nix-dir")
    host.boot()
    guest = let_in(host, tmp_path)
    run = guest.run(guest.make_command())
    check_green(run, "mount: / has its own /nix", ("read-only",))
