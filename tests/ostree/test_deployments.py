"""Test upgrades and rollbacks of deployments: the store, profiles and builds stay."""

import pytest

from tests.harness.deployment import Deployment
from tests.harness.ostree import TRANSIENT
from tests.nix_root import avoid_overlay
from tests.ostree.conftest import KINDS, DeploymentMaker
from tests.ostree.sources import check_sources
from tests.ostree.upgrades import check_upgrades
from tests.torture import chosen
from tests.whole import add_program, check_profile, check_whole, check_works, version

# These are the steps of rpm-ostree's apply-live: /usr gets a writable overlay with the new files,
# /etc gets its new files, and tmpfiles.d is applied; sysusers is not.
# https://github.com/coreos/rpm-ostree rust/src/live.rs
_APPLY_LIVE = """
ostree admin deploy --os=default nix-forky
for new in /ostree/deploy/default/deploy/*.0; do
    [ ! -e "$new/usr/bin/nix" ] || break
done
ostree admin unlock
rpm --dbpath="$new/usr/share/rpm" -ql nix-aurora | sed -n 's|^/usr/|usr/|p' >/run/added
tar --create --directory="$new" --no-recursion --files-from=/run/added | tar --extract --directory=/
cp --archive --update=none "$new/usr/etc/." /etc/
systemd-tmpfiles --create || [ $? = 65 ] # one of our lines names the group nixbld, created later
"""
# An upgrade is a newer commit of the same branch.
_NEWER = """
unshare --mount sh -euc '
mount -o remount,rw /sysroot
ostree commit --repo=/ostree/repo --bootable --branch=nix-trixie --tree=ref=nix-forky'
ostree admin upgrade
"""
_README = "systemctl start nix.mount nix-setup.service nix-daemon.socket"


def _switch(host: Deployment, branch: str) -> None:
    """Boot another image, like an upgrade or a rebase, and check that it is the booted one."""
    host.run(f"ostree admin switch {branch}")
    host.reboot()
    booted = "ostree admin status | sed -n 's/.*origin refspec: //p' | head -n 1"
    assert host.run(booted).stdout == f"{branch}\n"


@pytest.mark.parametrize("kind", chosen(list(KINDS)))
def test_nix_follows_the_deployment(kind: str, make_deployment: DeploymentMaker) -> None:
    host = make_deployment("nix-trixie", arguments=KINDS[kind])
    host.boot()
    add_program(host)
    assert version(host).startswith("2.26.")

    host.run(_NEWER)
    host.reboot()
    assert version(host).startswith("2.34.")
    assert host.read("/run/nix-aurora/root") == f"{kind}\n"
    check_works(host)
    host.run("nix-collect-garbage -d")

    host.run("ostree admin set-default 1")
    host.reboot()
    assert version(host).startswith("2.26.")
    check_works(host)

    _switch(host, "base")
    assert host.failed_units() == []
    host.run('[ -z "$(command -v nix)" ]; [ -d /var/lib/nix/store ]; [ ! -e /nix ]')

    _switch(host, "nix-forky")
    assert host.read("/run/nix-aurora/root") == f"{kind}\n"
    check_whole(host)


@pytest.mark.parametrize(("branch", "arguments"), [("nix-dir", ""), ("nix-forky", TRANSIENT)])
def test_image_with_a_nix_directory_does_not_move(
    branch: str, arguments: str, make_deployment: DeploymentMaker
) -> None:
    host = make_deployment(branch)
    host.boot(arguments=arguments)
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    host.run("[ ! -e /run/nix-aurora/root ]; [ ! -e /run/nix-aurora/unmoved ]")
    add_program(host)
    check_works(host)
    host.reboot(arguments=arguments)
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    check_works(host)
    check_sources(host)
    check_upgrades(host)


@pytest.mark.parametrize("kind", chosen(list(KINDS)))
def test_package_applied_live_needs_one_command(
    kind: str, make_deployment: DeploymentMaker
) -> None:
    host = make_deployment("base")
    host.boot()
    host.run(_APPLY_LIVE)
    host.run(_README)
    add_program(host)
    check_profile(host)
    check_works(host)
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    if kind == "binds":
        avoid_overlay(host)
    host.run("nix-aurora mount enable --yes --now")
    assert host.read("/run/nix-aurora/root") == f"{kind}\n"
    check_works(host)
