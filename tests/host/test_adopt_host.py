"""The store of an older Nix, taken over on a running host by the package of a newer one."""

import json
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.host.adopting import FORMER, LEAVE, USERS
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.doctor import doctor
from tests.leftovers import DETERMINATE, script
from tests.whole import add_program, build, check_clean, check_store, check_whole, version

# What each user installs: three generations of a profile, and a result.
_INSTALL = """
set -eu
for number in 1 2 3; do
    mkdir -p own-$number/bin
    printf '#!/bin/sh\\necho hello from %s %s\\n' $USER $number >own-$number/bin/own-$number
    chmod +x own-$number/bin/own-$number
    nix profile install "$(nix-store --add own-$number)"
done
nix-build --out-link result --expr 'derivation {
    name = "result"; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" "echo result >$out" ]; }'
"""
_USE = """
set -eu
for number in 1 2 3; do own-$number; done
cat result
readlink result
nix profile history | grep --count ^Version
"""
_CHANNEL = """
mkdir /run/channel
echo content >/run/channel/file
export HOME=/root
nix-env --profile /nix/var/nix/profiles/per-user/root/channels --set $(nix-store --add /run/channel)
"""
# As nix-installer has it on ostree; an unpackaged unit goes before ours.
_THEIR_MOUNT = f"""
cat >/etc/systemd/system/nix.mount <<'END'
[Unit]
DefaultDependencies=no
[Mount]
What={FORMER}
Where=/nix
Type=none
Options=bind
END
mkdir -p /etc/systemd/system/local-fs.target.wants
ln -sf ../nix.mount /etc/systemd/system/local-fs.target.wants/nix.mount
"""

# The command, killed once it has exchanged so many names: two looks at the file system, both
# databases closed and one opened again, and then the stores.
_KILLED = """
import os, signal, sys
sys.path.insert(0, "/usr/lib/nix-aurora")
sys.dont_write_bytecode = True
from nix_aurora_host import cli
from nix_aurora_host.importer import syscalls
exchange, left = syscalls.exchange, [6]
def count(one, other):
    exchange(one, other)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
syscalls.exchange = count
sys.exit(cli.main(["adopt", "--yes"]))
"""


@pytest.fixture
def host(make_host: HostMaker, make_nix_tree: NixTreeMaker) -> Host:
    """Return a host that has just got the package, and has an older Nix's store in /var/home."""
    host = make_host(make_nix_tree("trixie"))
    host.boot()
    add_program(host)
    for user in USERS:
        host.run_as(user, _INSTALL)
    host.run(_CHANNEL)
    host.run(LEAVE)
    return host


def _use(host: Host) -> dict[str, str]:
    return {user: host.run_as(user, _USE).stdout for user in USERS}


def _check_adopted(host: Host, before: dict[str, str]) -> None:
    assert _use(host) == before
    check_store(host)
    host.run("nix-collect-garbage")
    assert _use(host) == before
    assert host.run("cat /nix/var/nix/profiles/per-user/root/channels/file").stdout == "content\n"
    assert version(host).startswith("2.34")
    build(host)
    check_whole(host)
    for user in USERS:
        host.run_as(user, "nix profile rollback; ! own-3 2>/dev/null; own-2")


def test_users_keep_what_they_have(host: Host, make_nix_tree: NixTreeMaker, tmp_path: Path) -> None:
    expected = {
        user: "".join(f"hello from {user} {number}\n" for number in (1, 2, 3)) for user in USERS
    }
    host.reboot(make_nix_tree("forky"))
    assert host.run_as("tester", "own-1", check=False).returncode != 0
    said = host.run("nix-aurora adopt --yes")
    print(said.output)
    assert "It is moved to /var/lib/nix" in said.stderr
    before = _use(host)
    for user, programs in expected.items():
        assert before[user].startswith(f"{programs}result\n/nix/store/")
    assert host.run("systemctl is-active nix-daemon.socket").stdout == "active\n"
    assert host.run("cat /var/lib/nix/.nix-aurora/database/1/schema").stdout
    host.reboot()
    _check_adopted(host, before)
    assert "receipt.json.put-aside" in host.run(f"ls {FORMER}").stdout
    check_clean(host.run("NIX_REMOTE=local nix-store --verify --check-contents"))


def test_a_store_that_the_former_unit_shows_on_nix(host: Host, make_nix_tree: NixTreeMaker) -> None:
    host.run(_THEIR_MOUNT)
    host.reboot(make_nix_tree("forky"))
    said = host.run("nix-aurora adopt --yes")
    print(said.output)
    assert "Another Nix's store: /nix: " in said.stderr
    assert "It is moved to /var/lib/nix" in said.stderr
    assert "/nix is not this store yet. Next:\n  sudo nix-aurora set-aside\n" in said.stderr
    host.run("rm /etc/systemd/system/nix.mount; systemctl daemon-reload")
    host.run("systemctl preset nix.mount")  # the link that theirs has replaced
    host.reboot()
    _check_adopted(host, _use(host))


@pytest.mark.parametrize("first", ["set-aside", "adopt"])
def test_a_whole_former_installation_is_taken_over_in_either_order(
    host: Host, make_nix_tree: NixTreeMaker, first: str
) -> None:
    """Units, scripts and settings are put aside, and its store is adopted."""
    left = {path: text for path, text in DETERMINATE.items() if not path.startswith("/var/")}
    host.run(script(left))
    host.reboot(make_nix_tree("forky"))
    steps = ["nix-aurora set-aside --yes", "nix-aurora adopt --yes"]
    for step in steps if first == "set-aside" else reversed(steps):
        print(host.run(step).output)
    assert doctor(host, "root") == []
    before = _use(host)
    host.reboot()
    assert host.failed_units() == []
    assert doctor(host, "root") == []
    _check_adopted(host, before)


def test_a_store_in_use_is_refused_with_the_command_that_ends_the_use(
    host: Host, make_nix_tree: NixTreeMaker
) -> None:
    host.reboot(make_nix_tree("forky"))
    host.run(f"cp /usr/bin/sleep {FORMER}/store/; cd {FORMER}; store/sleep 1000 >/dev/null 2>&1 &")
    refused = host.run("nix-aurora adopt --yes", check=False)
    assert refused.returncode == 1
    assert "1 process runs from a store: " in refused.stderr
    assert host.run("systemctl is-active nix-daemon.socket").stdout == "active\n"
    host.run(
        f"rm {FORMER}/store/sleep; {refused.stderr.splitlines()[-1].removeprefix('hint: sudo ')}"
    )
    host.run("nix-aurora adopt --yes")
    _check_adopted(host, _use(host))


def test_a_boot_finishes_what_was_killed_between_two_renames(
    host: Host, make_nix_tree: NixTreeMaker
) -> None:
    host.reboot(make_nix_tree("forky"))
    killed = host.run('python3 -I -c "$SCRIPT"', env={"SCRIPT": _KILLED}, check=False)
    assert killed.returncode in {-9, 137}
    assert (
        host.run("cat /var/lib/nix/var/nix/db/schema").stdout == "nix-aurora adopt has not ended\n"
    )
    refused = host.run_as("tester", "nix-store --verify", check=False)
    assert refused.returncode != 0
    doctor = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)
    assert [finding["id"] for finding in doctor["findings"]] == ["adoption-unfinished"]
    host.kill()
    host.boot()
    assert f"finishing the takeover of {FORMER}" in host.journal("nix-setup.service")
    _check_adopted(host, _use(host))
    refused = host.run("nix-aurora adopt --yes", check=False)
    assert "cannot find another Nix's store" in refused.stderr
