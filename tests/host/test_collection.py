"""Test that collections run only if an administrator enables them, and never lose a root."""

import json
import shlex
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.host.conftest import NixTreeMaker
from tests.host.doctor import cure, doctor
from tests.readme import commands
from tests.whole import add_program, build, check_profile, check_whole, derivation, physical

pytestmark = pytest.mark.long

_MIB = 1 << 20
_DISK = 1200 * _MIB
_BUILD = 70 * _MIB
_COLLECT = "systemctl start nix-gc.service"
_PROFILES = "/var/home/tester/.local/state/nix/profiles"
# This creates three more generations, of which the first two are old. Nix keeps the generation that
# was current when the retention period began, and the current one.
_GENERATIONS = """
set -eu
mkdir -p pack/bin
for name in one two three; do
    echo $name >pack/bin/$name
    path=$(nix-store --add pack)
    nix-env --profile {profile} --set $path
done
touch --no-dereference --date='60 days ago' {profile}-1-link
touch --no-dereference --date='50 days ago' {profile}-2-link
"""
# This plants links in a user's directory, in which root will remove generations.
_TRAPS = """
set -eu
cd {place}
ln -s /etc/passwd trap.lock
ln -s trap-1-link trap
ln -s /etc trap-1-link
ln -s /etc/shadow trap-2-link
touch --no-dereference --date='90 days ago' trap-*-link
mkdir -p folder
ln -s /etc folder/link
"""
_LEFT = "find /etc /var/lib/systemd/timers -name '*nix-gc*' -o -name nix.gc.conf"


@pytest.fixture(scope="module")
def host(make_nix_tree: NixTreeMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host with a small disk for /var and the older package."""
    place = tmp_path_factory.mktemp("collection") / "host"
    with Host(make_nix_tree("trixie"), place, var_size=_DISK) as host:
        yield host


def _roots(host: Host) -> list[str]:
    """Create every kind of root, also on disks that were mounted lately; return the store paths."""
    host.run(
        """
        for disk in /mnt/disk /var/home/tester/mounted; do
            mkdir -p $disk
            mount -t tmpfs disk $disk
            chown tester: $disk
        done
        runuser -u tester -- mkdir -p /var/home/tester/project/.direnv
        """
    )
    links = [
        *("/home/tester/result", "/var/home/tester/project/.direnv/flake-profile"),
        *("/var/tmp/result", "/mnt/disk/result", "/var/home/tester/mounted/result"),  # noqa: S108
    ]
    paths = [build(host, f"--out-link {link}") for link in links]
    add_program(host)
    host.run(f"ln -s {build(host)} {physical('/nix/var/nix/gcroots')}/plain")
    return [*paths, host.run(f"readlink {physical('/nix/var/nix/gcroots')}/plain").stdout.strip()]


def _check_kept(host: Host, paths: list[str]) -> None:
    for path in paths:
        host.run(f"nix-store --check-validity {path}; test -s {physical(path)}")
    check_whole(host)
    check_profile(host)


def _links(host: Host, directory: str) -> list[str]:
    return host.run(f"cd {directory}; ls -d -- *-link").stdout.split()


def test_collection_is_disabled_by_default_and_survives_an_upgrade(
    host: Host, make_nix_tree: NixTreeMaker
) -> None:
    assert host.run("systemctl is-enabled nix-gc.timer", check=False).stdout == "disabled\n"
    assert host.run(_LEFT).stdout == ""
    assert json.loads(host.run("nix-aurora gc status --json").stdout)["limits"] == {}

    (days,) = commands("How long generations stay", "docs/collection.md")
    host.run_as("tester", days)
    host.run("nix-aurora gc enable")
    assert host.run("systemctl is-active nix-gc.timer").stdout == "active\n"
    # The timer waits for its day: enabling it collects nothing.
    assert host.run("systemctl show --property=ExecMainExitTimestamp nix-gc.service").stdout == (
        "ExecMainExitTimestamp=\n"
    )

    host.reboot(make_nix_tree("forky"))
    status = json.loads(host.run("nix-aurora gc status --json").stdout)
    assert (status["enabled"], status["timer"]) == (True, "enabled")
    assert status["keep_days"] == 90
    host.run("sed --in-place /GC_KEEP_DAYS=90/d /etc/nix-aurora.conf")
    assert status["next"]
    assert host.run("systemctl is-active nix-gc.timer").stdout == "active\n"
    shown = json.loads(host.run_as("tester", "nix config show --json").stdout)
    assert {name: str(shown[name]["value"]) for name in status["limits"]} == status["limits"]
    assert doctor(host) == []


def test_timers_run_keeps_every_root(host: Host) -> None:
    paths = _roots(host)
    profile = f"{_PROFILES}/pack"
    host.run_as("tester", _GENERATIONS.format(profile=profile))
    garbage = build(host)
    host.run_as("tester", _TRAPS.format(place=_PROFILES))
    before = host.run("sha256sum /etc/passwd /etc/shadow; ls -lR /etc").stdout

    host.run(_COLLECT)
    assert host.run(f"test -e {garbage}", check=False).returncode == 1
    _check_kept(host, paths)
    links = _links(host, _PROFILES)
    assert {"pack-2-link", "pack-3-link"} <= {*links}
    assert "pack-1-link" not in links
    assert host.run("sha256sum /etc/passwd /etc/shadow; ls -lR /etc").stdout == before
    said = host.journal("nix-gc.service")
    assert "generations of tester: 1 older than 30 days removed" in said
    host.run(f"rm -r {_PROFILES}/trap* {_PROFILES}/folder")


def test_nothing_is_collected_while_a_root_is_hidden(host: Host) -> None:
    """Hide roots with mounts; doctor then reports collection-failed."""
    kept = host.run("readlink /mnt/disk/result").stdout.strip()
    other = "/var/home/other/keep"
    host.run_as("other", f"nix-store --realise --add-root {other} $(nix-store --add /etc/issue)")
    garbage = build(host)
    host.run("umount /mnt/disk; mount -t tmpfs home /var/home/other")
    done = host.run("nix-aurora gc run --yes", check=False)
    assert done.returncode == 1
    assert "/mnt/disk/result: /var/mnt/disk is empty: it may not be mounted" in done.stderr
    assert f"{other}: /var/home/other does not belong to its user" in done.stderr
    assert host.run(_COLLECT, check=False).returncode == 1
    host.run(f"test -e {garbage}; test -e {kept}; umount /var/home/other")

    found = doctor(host)
    assert [finding["id"] for finding in found] == ["collection-failed"]
    hint = done.stderr.split("hint: ")[1].split("\n")[0]
    (link,) = [
        word
        for word in shlex.split(hint)[2:]
        if host.run(f"readlink {word}").stdout == "/mnt/disk/result\n"
    ]
    host.run(f"rm {link}")
    cure(host, found)
    assert host.run(f"test -e {garbage}", check=False).returncode == 1
    host.run(f"nix-store --check-validity $(readlink {other})")


def test_disk_that_fills_during_builds_recovers(host: Host) -> None:
    result = build(host, "--out-link kept")
    script, built = "nix build --impure --no-link --expr ", 0
    for _ in range(3 * _DISK // (2 * _BUILD)):
        write = derivation(f"head -c {_BUILD} /dev/urandom >$out")
        done = host.run_as("tester", script + write, check=False)
        assert done.returncode == 0 or "No space left on device" in done.stderr
        built += done.returncode == 0
    assert built * _BUILD > _DISK
    _check_kept(host, [result, build(host)])


def test_full_disk_recovers_and_doctor_reports_it_until_then(host: Host) -> None:
    """Fill the disk, as a failed build may. Nix then collects nothing: it cannot note a root."""
    host.run("nix-aurora gc enable")
    done = "systemctl show --property=ExecMainExitTimestamp --value nix-gc-full.service"
    assert host.run("systemctl is-active nix-gc-full.timer").stdout == "active\n"
    host.run("systemctl start nix-gc-full.service")  # the disk is not full
    assert host.run(done).stdout == "\n"

    host.run(f"! cat /dev/zero >/var/lib/nix/store/{32 * '0'}-garbage")
    found = [(finding["id"], finding["fix"]) for finding in doctor(host)]
    assert ("space-full", "sudo nix-aurora gc run") in found
    host.run("systemctl start nix-gc-full.service")  # the timer does this after a while
    assert doctor(host) == []
    kept = host.run_as("tester", "readlink kept").stdout.strip()
    _check_kept(host, [kept, build(host)])


def test_disable_leaves_nothing_and_administrators_limits_win(host: Host) -> None:
    host.run("echo 'min-free = 12345' >>/etc/nix/nix.custom.conf")
    assert host.run("nix config show min-free").stdout == "12345\n"
    host.run("nix-aurora gc disable")
    assert host.run("systemctl is-enabled nix-gc.timer", check=False).stdout == "disabled\n"
    timers = "nix-gc.timer nix-gc-full.timer"
    assert host.run(f"systemctl is-active {timers}", check=False).stdout == "inactive\n" * 2
    assert host.run(_LEFT).stdout == ""
    assert host.run("nix config show max-free").stdout != "0\n"
