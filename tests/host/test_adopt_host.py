"""Test taking over an older Nix's store on a running host with a newer package."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nix_aurora.run import run
from tests.harness.nspawn import Host
from tests.host.adopting import FORMER, LEAVE, USERS
from tests.host.conftest import NixTreeMaker
from tests.host.former import cure, has_come_up
from tests.leftovers import DETERMINATE, Files, write
from tests.torture import chosen
from tests.whole import add_program, build, check_clean, check_store, check_whole, version

pytestmark = pytest.mark.long

# This installs each user's packages: three generations of a profile, and a result.
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
# This kills the command at the sixth exchange of names. Before the stores are exchanged, there are
# two checks of the file system, and both databases are closed and one is opened again.
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


@pytest.fixture(scope="module")
def left(make_nix_tree: NixTreeMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the files of a host that has an older Nix's store in /var/home."""
    state = tmp_path_factory.mktemp("left") / "host"
    with Host(make_nix_tree("trixie"), state) as host:
        add_program(host)
        for user in USERS:
            host.run_as(user, _INSTALL)
        host.run(_CHANNEL)
        host.run(LEAVE)
        host.poweroff()
    return state


@pytest.fixture
def host(left: Path, make_nix_tree: NixTreeMaker, tmp_path: Path) -> Iterator[Host]:
    """Yield that host, switched off; its next boot has the package of a newer Nix."""
    run(["cp", "--archive", left, tmp_path / "host"])
    host = Host(make_nix_tree("forky"), tmp_path / "host")
    host.open()
    yield host
    host.close()


def _write(place: Path, files: Files) -> None:
    """Write files of a host that is off."""
    top = place / "top"
    for name, kept in (("etc", "etc.upper"), ("usr/local", "var/usrlocal")):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).symlink_to(place / "host" / kept)
    for path in files:
        (top / path[1:]).unlink(missing_ok=True)
    write(top, files)


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


def test_users_keep_their_packages(host: Host) -> None:
    expected = {
        user: "".join(f"hello from {user} {number}\n" for number in (1, 2, 3)) for user in USERS
    }
    host.boot()
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


@pytest.mark.parametrize("first", chosen(["doctor's fixes", "adopt"]))
def test_complete_former_installation_is_taken_over_in_either_order(
    host: Host, tmp_path: Path, first: str
) -> None:
    """The fixes set aside units, scripts and settings, and adopt the store."""
    _write(tmp_path, {p: text for p, text in DETERMINATE.items() if not p.startswith("/var/")})
    host.boot()
    if first == "adopt":  # adopt finds the store that the former unit mounts on /nix
        said = host.run("nix-aurora adopt --yes")
        print(said.output)
        assert "Another Nix's store: /nix: " in said.stderr
        assert "It is moved to /var/lib/nix" in said.stderr
        assert "/nix is not this store yet. Next:\n  sudo nix-aurora set-aside\n" in said.stderr
        host.run("nix-aurora set-aside --yes")
    else:
        aside, adopted, *rest = cure(host)
        assert set(aside.values()) >= {"sudo nix-aurora set-aside", "sudo nix-aurora adopt"}
        assert adopted == {"profile-lost": "sudo nix-aurora adopt"}
        assert rest == [{}]
    before = _use(host)
    host.reboot()
    has_come_up(host)
    _check_adopted(host, before)


def test_store_in_use_is_refused_with_the_command_that_ends_the_use(
    host: Host,
) -> None:
    host.boot()
    host.run(f"cp /usr/bin/sleep {FORMER}/store/; cd {FORMER}; store/sleep 1000 >/dev/null 2>&1 &")
    refused = host.run("nix-aurora adopt --yes", check=False)
    assert refused.returncode == 1
    assert "1 process uses a store: " in refused.stderr
    assert host.run("systemctl is-active nix-daemon.socket").stdout == "active\n"
    host.run(
        f"rm {FORMER}/store/sleep; {refused.stderr.splitlines()[-1].removeprefix('hint: sudo ')}"
    )
    host.run("nix-aurora adopt --yes")
    _check_adopted(host, _use(host))


def test_boot_finishes_a_takeover_that_was_killed_between_renames(
    host: Host,
) -> None:
    host.boot()
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
