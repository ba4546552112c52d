"""Whatever goes wrong on a host: what was there still works, and the next boot is whole."""

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.store import HOOK, ROOTING
from tests.whole import add_program, build, check_profile, check_whole, derivation

_ARCHIVE = "/usr/lib/nix-aurora/closure.tar.zst"


@pytest.fixture
def upgraded(make_nix_tree: NixTreeMaker, make_host: HostMaker) -> Host:
    """Give a host with 2.26 and a user's profile, off, before it boots into 2.34."""
    host = make_host(make_nix_tree("trixie"))
    host.boot()
    add_program(host)
    check_whole(host)
    host.poweroff()
    return host


def test_power_is_lost_during_the_import(upgraded: Host, make_nix_tree: NixTreeMaker) -> None:
    """Three times; then a rollback is whole, and so is the newer one after it."""
    newer = make_nix_tree("forky")
    for number, command in enumerate(("sync --file-system", "mv --no-copy --no-clobber", ROOTING)):
        kill = f"kill -KILL $$; # at {command}"
        hooked = newer.changed(
            upgraded.console.parent / f"hooked-{number}",
            f"""
            mkdir -p /usr/lib/systemd/system/nix-setup.service.d
            cat >/usr/lib/nix-hook <<'END'\n{HOOK}\nEND
            cat >/usr/lib/systemd/system/nix-setup.service.d/hook.conf <<'END'
[Service]
Environment=BASH_ENV=/usr/lib/nix-hook AT=0 'COMMAND={command}' 'ACTION={kill}'
END
            """,
        )
        upgraded.boot(hooked)
        assert upgraded.failed_units() == ["nix-setup.service"]
        assert f": {command}" in upgraded.journal("nix-setup.service")
        check_profile(upgraded)
        upgraded.kill()
    upgraded.boot(make_nix_tree("trixie"))
    check_whole(upgraded)
    upgraded.reboot(newer)
    check_whole(upgraded)


def test_a_corrupt_archive_leaves_the_older_nix_running(
    upgraded: Host, make_nix_tree: NixTreeMaker
) -> None:
    newer = make_nix_tree("forky")
    flip = f"""
        printf x | dd of={_ARCHIVE} bs=1 seek=5000000 conv=notrunc
        echo '!include /nix/var/nix/gcroots/nix-aurora/nix/etc/nix/sandbox.conf' \\
            >>/etc/nix/nix.custom.conf
    """
    upgraded.boot(newer.changed(upgraded.console.parent / "flipped", flip))
    assert upgraded.failed_units() == ["nix-setup.service"]
    assert "expected BLAKE2b" in upgraded.journal("nix-setup.service")
    check_profile(upgraded)
    # The daemon is the older one, and so is the Nix of the default profile.
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
def test_a_full_disk(tree_with_nix: Tree, nix_tree: Tree, make_host: HostMaker, left: int) -> None:
    """The host boots without Nix; with space again, Nix comes."""
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


@pytest.mark.parametrize(
    ("kill", "code"),
    [
        ("kill -KILL $(systemctl show --property=MainPID --value nix-daemon.service)", 0),
        ("systemctl kill --kill-whom=all --signal=KILL nix-daemon.service", 1),
    ],
    ids=["alone", "with its children"],
)
def test_the_daemon_is_killed_during_a_build(nix_host: Host, kill: str, code: int) -> None:
    """Its builds are processes of their own; without them, the next build starts afresh."""
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
