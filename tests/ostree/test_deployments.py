"""Deployments come and go; the store, profiles and builds stay."""

import pytest

from tests.harness.qemu import Machine
from tests.ostree.conftest import MachineMaker
from tests.whole import add_program, check_profile, check_whole, check_works, version

# rpm-ostree's apply-live: /usr is replaced under the running system, /etc is merged, and tmpfiles.d
# is applied; sysusers is not. https://github.com/coreos/rpm-ostree rust/src/live.rs
_APPLY_LIVE = """
ostree admin unlock >&2
ostree checkout --repo=/ostree/repo --union --subpath=/usr nix-forky /var/new
cp -a --update=all /var/new/. /usr/
cp -a --update=none /var/new/etc/. /etc/
rm -rf /var/new
systemd-tmpfiles --create
systemctl daemon-reload
"""
_README = "systemctl start nix.mount nix-setup.service nix-daemon.socket"


def _switch(machine: Machine, branch: str) -> None:
    """Boot another image, as an upgrade and a rebase do, and see that it is the booted one."""
    machine.run(f"ostree admin switch {branch}")
    machine.reboot()
    booted = "ostree admin status | sed -n 's/.*origin refspec: //p' | head -n 1"
    assert machine.run(booted).stdout == f"{branch}\n"


def test_nix_goes_along_with_the_deployment(make_machine: MachineMaker) -> None:
    machine = make_machine("nix-trixie")
    machine.boot()
    add_program(machine)
    machine.run("nix-aurora mount enable --yes")
    assert version(machine).startswith("2.26.")

    _switch(machine, "nix-forky")
    assert version(machine).startswith("2.34.")
    assert machine.read("/run/nix-aurora/layout") == "mount\n"
    check_works(machine)
    machine.run("nix-collect-garbage -d")

    machine.run("ostree admin set-default 1")
    machine.reboot()
    assert version(machine).startswith("2.26.")
    check_works(machine)

    _switch(machine, "base")
    assert machine.failed_units() == []
    machine.run('[ -z "$(command -v nix)" ]; [ -d /var/lib/nix/store ]; [ ! -e /nix ]')

    _switch(machine, "nix-forky")
    assert machine.read("/run/nix-aurora/layout") == "mount\n"
    check_whole(machine)


@pytest.mark.parametrize("branch", ["nix-dir", "transient"])
def test_an_image_that_can_have_nix_needs_no_command(
    branch: str, make_machine: MachineMaker
) -> None:
    machine = make_machine(branch)
    machine.boot()
    assert machine.read("/run/nix-aurora/layout") == "mount\n"
    add_program(machine)
    check_works(machine)
    machine.reboot()
    assert machine.read("/run/nix-aurora/layout") == "mount\n"
    check_works(machine)


def test_applied_to_a_running_system_it_takes_one_command(make_machine: MachineMaker) -> None:
    machine = make_machine("base")
    machine.boot()
    machine.run(_APPLY_LIVE)
    machine.run(_README)
    add_program(machine)
    check_profile(machine)
    check_works(machine)
