"""Test boots of a host with the real package: results, order, and messages about faults."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.store import DAMAGE
from tests.settings import FAULTY

_SOCKETS = ("/var/lib/nix/var/nix/daemon-socket/socket", "/var/lib/nix/daemon-socket/socket")
_STAMP = "/var/lib/nix/.nix-aurora/imported"
# The display manager of this test is ordered like a real one; none of our units may delay it.
_SLOW_IMPORT = """
mkdir -p /etc/systemd/system/nix-setup.service.d /etc/systemd/system/graphical.target.wants
cat >/etc/systemd/system/nix-setup.service.d/slow.conf <<'END'
[Service]
ExecStartPre=/usr/bin/sleep 5
END
cat >/etc/systemd/system/display-manager.service <<'END'
[Unit]
After=systemd-user-sessions.service
[Service]
ExecStart=/usr/bin/sleep infinity
END
ln -s ../display-manager.service /etc/systemd/system/graphical.target.wants/
"""
# This client sends a greeting to the daemon, and reports its connection and the answer.
_HELLO = r"""
import socket, struct, sys, time
with socket.socket(socket.AF_UNIX) as client:
    client.connect(sys.argv[1])
    print(time.monotonic())
    client.sendall(struct.pack("<QQ", 0x6E697863, 0x126))
    magic, = struct.unpack("<Q", client.recv(8, socket.MSG_WAITALL))
    assert magic == 0x6478696F, magic
    print(time.monotonic())
"""
_BUILD = """
nix build --no-link --print-out-paths --impure --expr 'derivation {
    name = "made"; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" "cat /proc/self/uid_map >$out" ];
}'
"""


@pytest.fixture(scope="module")
def slow_host(nix_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host in its first boot, whose import takes some time."""
    place = tmp_path_factory.mktemp("slow")
    host = Host(nix_tree.changed(place / "tree", _SLOW_IMPORT), place / "host")
    host.open()
    try:
        host.boot(wait=False)
        host.run("until [ -S /var/lib/nix/daemon-socket/socket ]; do sleep 0.1; done")
        yield host
    finally:
        host.close()


def _moment(host: Host, unit: str, name: str) -> int:
    """Return a time stamp of a unit, in microseconds since the machine was switched on."""
    moment = host.run(f"systemctl show --property={name}Monotonic --value {unit}").stdout
    assert int(moment) > 0, f"{unit}: {name}"
    return int(moment)


def _builds(host: Host) -> None:
    """Fail unless a user's build runs in a sandbox, as one of the build users."""
    path = host.run_as("tester", _BUILD).stdout.strip()
    number = host.read(path).split()[1]
    assert re.fullmatch("nixbld[0-9]+", host.run(f"id -un {number}").stdout.strip())


# --- first boots


def test_a_first_boot_is_whole_and_a_second_imports_nothing(
    nix_tree: Tree, make_host: HostMaker
) -> None:
    host = make_host(nix_tree)
    host.boot()
    assert host.failed_units() == []
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    assert host.run("findmnt --noheadings --output OPTIONS /nix").stdout.startswith("rw")
    assert host.run("[ /nix/store -ef /var/lib/nix/store ]; touch /x", check=False).returncode
    for socket in _SOCKETS:
        host.run(f"[ -S {socket} ]")
    mounted = _moment(host, "nix.mount", "ActiveEnterTimestamp")
    assert mounted < _moment(host, "systemd-user-sessions.service", "InactiveExitTimestamp")
    assert mounted < _moment(host, "nix-setup.service", "ExecMainStartTimestamp")
    journal = host.journal("nix-setup.service")
    assert re.search(r"nix-aurora: imported Nix 2\.34\.8: (\d+) of \1 .*\d+ ms", journal)
    _builds(host)
    stamp = host.run(f"stat --format=%y {_STAMP}; ls /nix/store").stdout

    host.reboot()
    assert host.failed_units() == []
    assert "imported" not in host.journal("nix-setup.service")
    assert host.run(f"stat --format=%y {_STAMP}; ls /nix/store").stdout == stamp
    _builds(host)


@pytest.mark.parametrize("suite", ["forky", "trixie"])
def test_package_is_added_to_a_host_that_ran_without_it(
    tree_with_nix: Tree, make_nix_tree: NixTreeMaker, make_host: HostMaker, suite: str
) -> None:
    """Do not run systemd-sysusers: neither rpm-ostree nor, since /etc is old, the boot does."""
    host = make_host(tree_with_nix)
    host.boot()
    host.run("useradd third")  # now /etc/passwd is the host's own
    host.reboot(make_nix_tree(suite, sysusers=False))
    assert host.failed_units() == []
    assert len(host.run("getent group nixbld").stdout.split(",")) == 32
    _builds(host)


# --- while the import runs


def test_connections_and_commands_wait_for_the_import(slow_host: Host, tmp_path: Path) -> None:
    _bring_client(slow_host, tmp_path)
    script = "\n".join(
        f"setpriv --reuid=tester --clear-groups python3 /run/hello.py {socket} >/run/hello-{n} &"
        for n, socket in enumerate(_SOCKETS)
    )
    # Ctrl-C is a signal to the foreground process group.
    script += """
    su --login tester --command 'nix --version; nix store info' >/run/nix.out 2>/run/nix.err &
    timeout --signal=INT 1 nix --version >/run/interrupted 2>&1 || echo "exit $?" >>/run/interrupted
    systemctl is-active nix-setup.service >>/run/interrupted || :
    wait"""
    slow_host.run(script)
    ended = _moment(slow_host, "nix-setup.service", "ActiveEnterTimestamp") / 1e6
    for n in range(len(_SOCKETS)):
        connected, answered = map(float, slow_host.read(f"/run/hello-{n}").split())
        assert connected < ended < answered
    assert slow_host.read("/run/nix.out") == "nix (Nix) 2.34.8\n"
    errors = slow_host.read("/run/nix.err")
    assert errors.count("nix: waiting for nix-setup.service") == 1
    assert "Version: 2.34.8" in errors
    waiting, code, state = slow_host.read("/run/interrupted").splitlines()
    assert waiting.startswith("nix: waiting for nix-setup.service")
    assert (code, state) == ("exit 124", "activating")


def test_first_import_delays_no_login(slow_host: Host) -> None:
    slow_host.wait_until_up()
    login = _moment(slow_host, "display-manager.service", "ActiveEnterTimestamp")
    began = _moment(slow_host, "nix-setup.service", "InactiveExitTimestamp")
    assert login < _moment(slow_host, "nix-setup.service", "ExecMainStartTimestamp")
    assert login - began < 5e6  # the login did not happen just before the end
    assert slow_host.failed_units() == []


def test_daemon_waits_if_build_users_are_missing(slow_host: Host, tmp_path: Path) -> None:
    """Nix looks for the build users in /etc/group, and nix-setup.service creates them there."""
    _bring_client(slow_host, tmp_path)
    connect = f"""
        systemctl stop nix-daemon.socket nix-daemon.service nix-setup.service
        systemctl start nix-daemon.socket
        python3 /run/hello.py {_SOCKETS[0]}
        systemctl show --property=ActiveState --value nix-setup.service"""
    slow_host.wait_until_up()
    assert slow_host.run(connect).stdout.splitlines()[-1] == "inactive"
    # This acts like a boot: nix-layout checks the users, and the unit's condition uses the result.
    lose = "sed -i /^nixbld:/d /etc/group; systemctl restart nix-layout.service"
    lost = f"{lose}; {connect}; grep -c ^nixbld: /etc/group"
    assert slow_host.run(lost).stdout.splitlines()[-2:] == ["active", "1"]


def _bring_client(host: Host, place: Path) -> None:
    hello = place / "hello.py"
    hello.write_text(_HELLO)
    host.copy_in(hello, "/run/hello.py")


# --- messages of commands about faults


def test_failed_import_is_named_and_its_repair_works(
    nix_tree: Tree, make_host: HostMaker, tmp_path: Path
) -> None:
    host = make_host(nix_tree.changed(tmp_path / "broken", DAMAGE))
    host.boot()
    assert host.failed_units() == ["nix-setup.service"]
    result = host.run_as("tester", "nix --version", check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "nix: setting up Nix has failed.",
        "hint: journalctl -u nix-setup.service",
        "hint: sudo systemctl restart nix-setup.service",
    ]
    host.reboot(nix_tree)
    assert host.run_as("tester", "nix --version").stdout == "nix (Nix) 2.34.8\n"
    _builds(host)


def test_each_state_of_the_host_has_its_message_and_its_cure(nix_host: Host) -> None:
    host = nix_host
    path = host.run("readlink /var/lib/nix/var/nix/gcroots/nix-aurora/nix").stdout.strip()
    lose = f"chmod u+w /var/lib{path}; rm -r /var/lib{path}"

    def said() -> str:
        """Return the command's message, and follow its hint."""
        result = host.run_as("tester", "/usr/bin/nix --version", check=False)
        assert result.returncode == 1
        first, *hints = result.stderr.splitlines()
        for hint in hints:
            host.run_as("tester", hint.removeprefix("hint: "))
        host.run_as("tester", "/usr/bin/nix --version")
        return first

    host.run("systemctl stop nix-daemon.service nix-daemon.socket nix.mount")
    assert said() == "nix: Nix is set up, but /nix is not its store."
    host.run(lose)
    assert said() == f"nix: {path}/bin/nix is missing, though Nix has been set up."
    host.run(f"{lose}; systemctl stop nix-setup.service")
    assert said() == "nix: Nix is not set up yet."
    host.run(f"{lose}; systemctl mask nix-setup.service")
    assert said() == "nix: Nix is not set up: nix-setup.service is masked."
    host.run("systemctl start nix-daemon.socket")
    _builds(host)
    assert host.failed_units() == []


def test_no_mistake_in_the_settings_stops_a_boot(nix_host: Host) -> None:
    """The layout is then chosen by auto, status names the mistake, and nothing in the file runs."""
    before = nix_host.read("/etc/nix-aurora.conf")
    for name, (text, line) in FAULTY.items():
        nix_host.run(
            f"printf %s {b64encode(text).decode()} | base64 -d >/etc/nix-aurora.conf\n"
            "systemctl reset-failed nix-layout.service; systemctl restart nix-layout.service"
        )
        assert nix_host.read("/run/nix-aurora/layout") == "mount\n", name
        status = json.loads(nix_host.run_as("tester", "nix-aurora status --json").stdout)
        assert f": line {line}: " in status["settings"]["faults"][0], name
    assert nix_host.run("find / -xdev -name ran -newer /run/nix-aurora").stdout == ""
    nix_host.run(f"cat >/etc/nix-aurora.conf <<'END'\n{before}END")


def test_commands_run_nix_in_the_namespace_layout(
    make_nix_tree: NixTreeMaker, make_host: HostMaker
) -> None:
    host = make_host(make_nix_tree(nix_dir=False, layout="namespace"))
    host.boot()
    assert host.failed_units() == []
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    assert host.run_as("tester", "nix --version").stdout == "nix (Nix) 2.34.8\n"
    # The environment contains no broken path.
    assert "nix" not in host.run_as("tester", "echo $PATH $NIX_PROFILES $XDG_DATA_DIRS").stdout


def test_daemon_downloads_with_the_hosts_settings(
    nix_tree: Tree, make_host: HostMaker, tmp_path: Path
) -> None:
    """The daemon's environment has the host's certificates and the proxies of the host's logins."""
    proxies = """\
https_proxy="http://proxy.example:3128"
NO_PROXY=localhost,.example
LD_LIBRARY_PATH=/nowhere
"""
    tree = nix_tree.changed(tmp_path / "proxies", f"cat >>/etc/environment <<'E'\n{proxies}E")
    host = make_host(tree)
    host.boot()
    host.run("nix store info")
    environment = host.run(
        "tr '\\0' '\\n' </proc/$(systemctl show --property=MainPID --value nix-daemon)/environ"
    ).stdout.splitlines()
    assert "https_proxy=http://proxy.example:3128" in environment
    assert "NO_PROXY=localhost,.example" in environment
    assert "NIX_SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt" in environment
    assert not any(line.startswith("LD_LIBRARY_PATH=") for line in environment)
