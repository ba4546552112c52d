"""nix-aurora doctor finds each fault, and the fix that it names, run literally, cures it."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker

_STATE = "/var/lib/nix/var/nix"
_FOREIGN = """\
[Unit]
Description=Another Nix's daemon
[Service]
ExecStart=/bin/sleep infinity
"""
# What runs from /nix keeps it mounted.
_END_BUILDS = "systemctl kill --kill-whom=all nix-daemon.service || :; systemctl stop nix-daemon"
_DROP_USERS = "for n in $(seq 32); do userdel nixbld$n; done; groupdel --force nixbld || :"


@dataclass(frozen=True)
class Fault:
    """What root does to a host, and all ids of errors and warnings that doctor then finds.

    Most of the time it is one; each fix is run in its turn until nothing is left. ``seen_by`` is
    who runs doctor: some faults are root's alone to see.
    """

    name: str
    script: str
    ids: tuple[str, ...]
    seen_by: str = "tester"


_FAULTS = (
    Fault(
        "setup masked",
        "systemctl mask nix-setup.service",
        ("unit-masked:nix-setup.service",),
    ),
    Fault(
        "setup masked until the next boot",
        "systemctl mask --runtime nix-setup.service",
        ("unit-masked:nix-setup.service",),
    ),
    Fault(
        "setup failed",
        "cd /var/lib/nix/.nix-aurora; rm imported lock; mkdir lock;"
        " ! systemctl restart nix-setup.service; rmdir lock",
        ("unit-failed:nix-setup.service", "import-unfinished"),
        seen_by="root",
    ),
    Fault(
        "mount masked",
        f"{_END_BUILDS}; systemctl mask --now nix.mount",
        ("unit-masked:nix.mount",),
    ),
    Fault(
        "mounted read-only",
        f"{_END_BUILDS}; mount -o remount,bind,ro /nix; ! timeout 60 nix-store --realise"
        " /nix/store/00000000000000000000000000000000-none;"
        " [ $(pgrep --count nix-daemon) -lt 4 ]",
        ("nix-read-only",),
    ),
    Fault("mount stopped", f"{_END_BUILDS}; systemctl stop nix.mount", ("nix-not-mounted",)),
    Fault(
        "another layout asked for",
        f"{_END_BUILDS}; systemctl stop nix.mount;"
        " echo STORE_LAYOUT=namespace >>/etc/nix-aurora.conf; systemctl restart nix-layout.service",
        ("layout-namespace",),
    ),
    Fault(
        "slips in nix-aurora.conf",
        "printf '%s\\n' 'exit 0' \"STORE_LAYOUT='namespace\" >>/etc/nix-aurora.conf",
        ("settings-file",),
    ),
    Fault("mount disabled", "systemctl disable nix.mount", ("unit-disabled:nix.mount",)),
    Fault("socket stopped", "systemctl stop nix-daemon.socket", ("socket-stopped",)),
    Fault(
        "socket masked",
        "systemctl mask --now nix-daemon.socket",
        ("unit-masked:nix-daemon.socket",),
    ),
    Fault(
        "socket disabled",
        "systemctl disable --now nix-daemon.socket",
        ("unit-disabled:nix-daemon.socket",),
    ),
    Fault(
        "socket deleted",
        f"rm {_STATE}/daemon-socket/socket",
        ("socket-gone",),
    ),
    Fault("nixbld group missing", _DROP_USERS, ("nixbld-group-missing",)),
    Fault("a build user missing", "userdel nixbld7", ("nixbld-users-missing",)),
    Fault(
        "database gone",
        f"systemctl stop nix-daemon.service; rm {_STATE}/db/db.sqlite*",
        ("database-missing",),
        seen_by="root",
    ),
    Fault(
        "database gone with all that is beside it",
        f"systemctl stop nix-daemon.service; rm -r {_STATE}/db",
        ("database-missing",),
        seen_by="root",
    ),
    Fault(
        "default profile gone",
        f"rm {_STATE}/profiles/default*",
        ("profile-missing",),
    ),
    Fault(
        "default profile without nix",
        "HOME=/root /usr/bin/nix-env --profile /nix/var/nix/profiles/default --uninstall '.*nix.*'",
        ("profile-without-nix",),
    ),
    Fault(
        "gcroot gone",
        f"rm -r {_STATE}/gcroots/nix-aurora",
        ("gcroot-missing:nix", "gcroot-missing:cacert"),
    ),
    Fault(
        "stamp gone",
        "rm /var/lib/nix/.nix-aurora/imported",
        ("import-unfinished",),
        seen_by="root",
    ),
    Fault(
        "stamp of another closure",
        "echo other >/var/lib/nix/.nix-aurora/imported",
        ("import-stale",),
        seen_by="root",
    ),
    Fault(
        "a foreign nix-daemon.service in /etc",
        f"printf {shlex.quote(_FOREIGN)} >/etc/systemd/system/nix-daemon.service;"
        " systemctl daemon-reload; systemctl stop nix-daemon.service",
        ("unit-shadowed:nix-daemon.service",),
    ),
    Fault(
        "PATH without our directories, for the script in /etc is gone",
        "rm /etc/profile.d/nix.sh",
        ("path:bash", "path:zsh"),
    ),
    Fault(
        "PATH without our directories, in a user's own file for bash",
        "echo 'PATH=/usr/local/bin:/usr/bin' >>/var/home/tester/.bash_profile",
        ("path:bash",),
    ),
    Fault(
        "PATH without our directories, in a user's own file for zsh",
        "echo 'PATH=/usr/local/bin:/usr/bin' >/var/home/tester/.zlogin;"
        "chown tester: /var/home/tester/.zlogin",
        ("path:zsh",),
    ),
    Fault(
        "PATH without our directories, in a user's own file for fish",
        "install -d -o tester -g tester /var/home/tester/.config/{,fish};"
        "echo 'set -gx PATH /usr/local/bin /usr/bin' >/var/home/tester/.config/fish/config.fish;"
        "chown tester: /var/home/tester/.config/fish/config.fish",
        ("path:fish",),
    ),
    Fault(
        "a user's stale NIX_REMOTE",
        "printf 'if true; then\\n  export NIX_REMOTE=unix:///gone\\nfi\\n'"
        " >>/var/home/tester/.profile",
        ("nix-remote:/var/home/tester/.profile",),
    ),
    Fault(
        "a user's stale NIX_REMOTE for the desktop",
        "install -d -o tester -g tester /var/home/tester/.config/{,environment.d};"
        "echo NIX_REMOTE=local >/var/home/tester/.config/environment.d/nix.conf",
        ("nix-remote:/var/home/tester/.config/environment.d/nix.conf",),
    ),
    Fault(
        "a stale NIX_REMOTE of everybody",
        "echo export NIX_REMOTE=local >/etc/profile.d/old-nix.sh",
        ("nix-remote:/etc/profile.d/old-nix.sh",),
    ),
    Fault("nix.conf gone", "rm /etc/nix/nix.conf", ("nix-conf-missing",)),
    Fault(
        "nix.conf broken",
        "echo nonsense >>/etc/nix/nix.conf",
        ("nix-conf-broken",),
    ),
    Fault(
        "determinate-nixd there",
        "mkdir -p /usr/local/bin; touch /usr/local/bin/determinate-nixd",
        ("foreign-nixd",),
    ),
    Fault("Determinate's receipt there", "touch /nix/receipt.json", ("foreign-receipt",)),
)


class _Hosts:
    """Gives a host in which all is well: the one before, unless a failed test has left it ill."""

    def __init__(self, tree: Tree, place: Path) -> None:
        self._tree = tree
        self._place = place
        self._count = 0
        self._host: Host | None = None

    def healthy(self) -> Host:
        """Give the host; a new one has booted."""
        if self._host is None or _doctor(self._host):
            self.close()
            self._count += 1
            self._host = Host(self._tree, self._place / f"host-{self._count}")
            self._host.open()
            self._host.boot()
        return self._host

    def close(self) -> None:
        """Switch the host off."""
        if self._host is not None:
            self._host.close()


@pytest.fixture(scope="module")
def hosts(nix_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Hosts]:
    hosts = _Hosts(nix_tree, tmp_path_factory.mktemp("doctor"))
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: _Hosts) -> Host:
    """Give a host in which all is well."""
    return hosts.healthy()


def _doctor(host: Host, user: str = "tester") -> list[dict[str, Any]]:
    """Give what doctor finds, notes aside, and see that its exit code fits."""
    # As a user whose own settings do not matter: what is looked at is a new login.
    result = host.run_as(user, "nix-aurora doctor --json", login=False, check=False)
    report = json.loads(result.stdout)
    assert result.returncode == (0 if report["well"] else 1), result.output
    assert report["well"] == all(found["severity"] == "note" for found in report["findings"])
    return _faults(result.stdout)


def _faults(output: str) -> list[dict[str, Any]]:
    return [found for found in json.loads(output)["findings"] if found["severity"] != "note"]


def _build(host: Host, user: str = "tester") -> None:
    """Build something new as an ordinary user, through the daemon."""
    expression = (
        f'derivation {{ name = "{uuid4()}"; system = builtins.currentSystem; '
        'builder = "/bin/sh"; args = [ "-c" "echo built >$out" ]; }'
    )
    command = f"nix build --impure --no-link --print-out-paths --expr '{expression}'"
    built = host.run_as(user, f"set -e; path=$({command}); cat $path")
    assert built.stdout == "built\n", built.output


def _cure(host: Host, found: list[dict[str, Any]], user: str = "tester") -> None:
    """Run one fix after the other, as an administrator would, until nothing is found.

    On a terminal, with yes for an answer. One fix may bring another fault to light.
    """
    for _ in range(len(found) + 1):
        fix = shlex.quote(found[0]["fix"])
        typed = f"echo yes | script --quiet --return --command {fix} /dev/null"
        host.run_as("tester", typed, login=False)
        found = _doctor(host, user)
        if not found:
            return
    raise AssertionError(found)


def test_all_is_well(host: Host) -> None:
    for user in ("tester", "other"):
        assert _doctor(host, user) == []
    assert "nix-aurora doctor: all is well\n" in host.run("nix-aurora doctor").stdout
    _build(host)


@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_and_its_fix_cures_it(host: Host, fault: Fault) -> None:
    host.run(fault.script)
    found = _doctor(host, fault.seen_by)
    assert tuple(finding["id"] for finding in found) == fault.ids
    text = host.run_as(fault.seen_by, "nix-aurora doctor", login=False, check=False)
    assert all(f"  fix: {finding['fix']}\n" in text.stdout for finding in found)
    _cure(host, found, fault.seen_by)
    _build(host)


def test_a_user_s_broken_settings_are_moved_away(host: Host) -> None:
    path = "/var/home/tester/.config/nix/nix.conf"
    host.run_as("tester", f"mkdir -p ~/.config/nix; echo nonsense >{path}", login=False)
    (found,) = _doctor(host)
    assert found["id"] == "nix-conf-broken"
    _cure(host, [found])
    assert host.read(path) == "# nonsense\n"
    assert host.read(f"{path}.before-nix-aurora") == "nonsense\n"
    assert _doctor(host, "other") == []


def test_the_administrator_s_broken_settings_are_kept_beside_the_packaged_ones(host: Host) -> None:
    own = "/etc/nix/nix.custom.conf"
    host.run(f"cp {own} /tmp/custom; echo nonsense >>{own}")
    (found,) = _doctor(host)
    assert found["id"] == "nix-conf-broken"
    _cure(host, [found])
    assert host.read(own).endswith("# nonsense\n")
    assert host.read(f"{own}.before-nix-aurora").endswith("nonsense\n")
    host.run(f"mv /tmp/custom {own}; systemctl try-restart nix-daemon.service")
    _build(host)


def test_notes_are_no_faults(host: Host) -> None:
    host.run("echo '# mine' >>/etc/nix/nix.conf")
    result = host.run("nix-aurora doctor")
    assert "[nix-conf-changed]" in result.stdout
    assert "all is well" in result.stdout
    host.run("cp /usr/lib/nix-aurora/etc/nix/nix.conf /etc/nix/nix.conf")


def test_a_stale_remote_in_the_environment_is_unset(host: Host) -> None:
    script = "export NIX_REMOTE=local; {}nix-aurora doctor --json"
    result = host.run_as("tester", script.format(""), login=False, check=False)
    (found,) = _faults(result.stdout)
    assert found["id"] == "nix-remote"
    host.run_as("tester", script.format(found["fix"] + "; "), login=False)


def test_under_sudo_the_user_s_logins_are_looked_at(host: Host) -> None:
    host.run("echo 'export NIX_REMOTE=local' >>/var/home/tester/.zshenv")
    result = host.run_as("tester", "sudo nix-aurora doctor", login=False, check=False)
    assert "[nix-remote:/var/home/tester/.zshenv]" in result.stdout
    assert host.run("nix-aurora doctor").returncode == 0  # root's own are well
    host.run("rm /var/home/tester/.zshenv")


def test_a_full_var_is_found_and_collecting_garbage_cures_it(
    nix_tree: Tree, make_host: HostMaker
) -> None:
    host = make_host(nix_tree, var_size=400 << 20)
    host.boot()
    assert _doctor(host) == []
    # All that is free but a bit, as store paths that nothing refers to.
    host.run(
        "size=$(($(stat --file-system --format='%a * %S' /var/lib/nix) - (20 << 20)))\n"
        "head -c $size /dev/urandom >/tmp/big\n"
        "nix-store --add /tmp/big"
    )
    found = _doctor(host)
    assert [finding["id"] for finding in found] == ["space-full"]
    _cure(host, found)
    _build(host)


def test_a_corrupt_archive_is_found_and_a_whole_one_in_its_place_cures_it(
    nix_tree: Tree, make_host: HostMaker, tmp_path: Path
) -> None:
    """What the fix does needs rpm-ostree or bootc, and a registry, which this host has not.

    A boot into the good tree stands for the deployment that they make: nothing else is needed. On
    an ordinary host the fix is run as it is printed, in test_ordinary.
    """
    flip = (
        "printf '\\377' | dd of=/usr/lib/nix-aurora/closure.tar.zst bs=1 seek=1000000 conv=notrunc"
    )
    host = make_host(nix_tree.changed(tmp_path / "corrupt", flip))
    host.boot()
    assert host.failed_units() == ["nix-setup.service"]
    found = {finding["id"]: finding["fix"] for finding in _doctor(host)}
    assert set(found) == {"unit-failed:nix-setup.service", "archive-corrupt", "import-missing"}
    (fix,) = set(found.values())
    # An image-baked package: this host has no rpm-ostree that would know of a layered one.
    assert fix == "sudo ostree fsck --delete; sudo bootc upgrade"
    host.reboot(nix_tree)
    assert _doctor(host) == []
    _build(host)


def test_a_host_that_cannot_have_nix_is_told_so(tree: Tree, nix_tree: Tree) -> None:
    """Where there is no Nix at all, nothing is there to ask."""
    with tree.scratch() as scratch:
        assert scratch.run("command -v nix-aurora", check=False).returncode == 1
    with nix_tree.scratch() as scratch:  # installed, and never booted
        result = scratch.run("nix-aurora doctor", check=False)
        assert result.returncode == 1
        assert "[systemd-silent]" in result.stdout
        assert "[import-missing]" in result.stdout
