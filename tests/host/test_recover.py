"""Test a lost database on a running host.

The database is restored from its copy, with everything that belongs to users.
"""

import json
import shlex
from typing import Any

import pytest

from tests.harness.nspawn import Host
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.whole import add_program, build, check_profile, check_whole

# Each result contains the path of the one before; the derivation of the last one has a root.
_CHAIN = """
let
  built = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  };
  inner = built "inner" "echo told >$out";
  middle = built "middle" "echo ${inner} >$out";
in
built "outer" "echo ${middle} $out ${builtins.toFile "note" "text"} >$out"
"""
_KEEP = f"""
set -e
nix-build --out-link result --expr {shlex.quote(_CHAIN)}
nix-instantiate --add-root drv --expr {shlex.quote(_CHAIN)}
"""
_LOSE = """
systemctl stop nix-daemon.service
rm -r /var/lib/nix/var/nix/db
"""
_COPIES = "/var/lib/nix/.nix-aurora/database"
_BACKUP = "systemctl start nix-database-backup.service"
_IMPORT = "systemctl restart nix-setup.service"


@pytest.fixture
def host(nix_host: Host) -> Host:
    """Return a host where a user keeps a profile, a result and a derivation."""
    add_program(nix_host)
    nix_host.run_as("tester", _KEEP)
    return nix_host


def _recover(host: Host, options: str = "--yes", code: int = 0) -> dict[str, Any]:
    done = host.run(f"nix-aurora recover --json {options}", check=False)
    assert done.returncode == code, done.output
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _dump(host: Host) -> str:
    """Return the whole content of the database, without its own numbers."""
    return host.run(
        """
        python3 -c '
import sqlite3
database = sqlite3.connect("file:/var/lib/nix/var/nix/db/db.sqlite?mode=ro", uri=True)
for row in database.execute("select path, hash, narSize, deriver, ultimate, sigs, ca"
                            " from ValidPaths order by path"):
    print(row)
for row in database.execute("select a.path, b.path from Refs join ValidPaths a on a.id = referrer"
                            " join ValidPaths b on b.id = reference order by 1, 2"):
    print(row)
'
        """
    ).stdout


def _faults(host: Host) -> list[str]:
    found = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)["findings"]
    return [finding["id"] for finding in found if finding["severity"] != "note"]


def _check_kept(host: Host) -> None:
    check_profile(host)
    assert host.run_as("tester", "cat $(cat $(cut -d ' ' -f 1 result))").stdout == "told\n"
    assert "-inner.drv\n" in host.run_as("tester", "nix-store --query --requisites drv").stdout
    check_whole(host)


def test_timer_is_active_without_a_preset(host: Host) -> None:
    assert host.run("systemctl is-active nix-database-backup.timer").stdout == "active\n"
    assert host.run("systemctl is-enabled nix-database-backup.timer").stdout == "static\n"
    assert not host.run("find /etc/systemd/system -name '*backup*'").stdout
    host.run(_BACKUP)
    host.run(_BACKUP)
    assert "not copied: the database has not changed" in host.journal("nix-database-backup.service")
    assert host.failed_units() == []


def test_import_restores_a_lost_database(host: Host) -> None:
    """Restore every signature and reference; a collection then keeps the paths."""
    host.run(_BACKUP)
    before = _dump(host)
    host.run(_LOSE)
    assert _faults(host) == ["database-missing"]
    host.run(_IMPORT)
    assert _dump(host) == before
    assert "the content of every store path is as it was registered" in host.journal(
        "nix-setup.service"
    )
    assert _faults(host) == []
    host.run("nix-collect-garbage -d")
    _check_kept(host)
    status = json.loads(host.run("nix-aurora status --json").stdout)["database"]
    assert status["recovery"] is None
    assert status["lost"] is False
    assert "1" in status["copies"]


def test_recover_fills_a_database_that_nix_created_anew(host: Host) -> None:
    """A client creates a new database unnoticed; copies of that do not replace a good copy."""
    host.run(_BACKUP)
    before = set(_dump(host).splitlines())
    host.run("rm -r /var/lib/nix/var/nix/db; NIX_REMOTE=local nix-store --verify")
    for number in range(3):
        host.run(f"echo {number} >/tmp/new; NIX_REMOTE=local nix-store --add /tmp/new; {_BACKUP}")
    assert "paths-unregistered" in _faults(host)
    planned = _recover(host, "--dry-run")
    assert planned["registered"] is False
    assert set(planned["copies"]) >= {"1", "fullest"}
    assert _recover(host) == planned | {"registered": True}
    after = set(_dump(host).splitlines())
    assert before <= after
    assert _faults(host) == []
    _check_kept(host)
    assert _recover(host)["paths"] == []


def test_recover_without_a_copy_lists_lost_paths(host: Host) -> None:
    """Without a copy, nothing is registered again; after a new build, copies are made again."""
    host.run(f"rm -r {_COPIES}; {_LOSE}{_IMPORT}")
    assert "hint: sudo nix-aurora recover" in host.journal("nix-setup.service")
    assert _faults(host) == ["database-lost"]
    host.run(_BACKUP)
    assert not host.run(f"ls {_COPIES}", check=False).stdout
    refused = host.run_as("tester", "sudo nix-aurora recover", login=False, check=False)
    assert refused.returncode == 2
    assert "hint: sudo nix-aurora recover --yes" in refused.stderr
    said = _recover(host)
    assert said["paths"] == []
    outer = host.run_as("tester", "readlink result").stdout.strip()
    assert outer in said["lost"].values()
    assert host.run(f"nix-store --check-validity {outer}", check=False).returncode == 1
    assert _faults(host) == []

    host.run_as("tester", "rm -rf ~/.local/state/nix/profiles ~/.nix-profile")
    add_program(host)
    host.run_as("tester", _KEEP)
    host.run(_BACKUP)
    assert host.run(f"ls {_COPIES}").stdout.split() == ["1"]
    _check_kept(host)


def test_client_with_the_former_database_open_is_ended(host: Host) -> None:
    """The client's registrations would be lost, and it would treat valid paths as garbage."""
    host.run(_BACKUP)
    build(host)
    host.run_as("tester", "(sleep 300 | nix-store --serve --write >/dev/null 2>&1 &)")
    host.run(f"rm -r /var/lib/nix/var/nix/db; {_IMPORT}")
    assert "nix-aurora: ended processes of nix-daemon.service" in host.journal("nix-setup.service")
    host.run("pkill -u tester sleep || true")
    _check_kept(host)


def test_waiting_command_shows_the_progress_of_the_check(host: Host) -> None:
    line = "checking the content of the store: 1.0 GiB of 99.0 GiB"
    host.run(f"echo '{line}' >/run/nix-aurora/recovery")
    assert host.run_as("tester", "/usr/bin/nix --version").stderr == f"nix: waiting: {line}\n"
    assert f"database  {line}\n" in host.run_as("tester", "nix-aurora status").stdout
    host.run("rm /run/nix-aurora/recovery")
    assert host.run_as("tester", "/usr/bin/nix --version").stderr == ""


def test_recover_waits_for_a_collection(host: Host) -> None:
    """Wait for Nix's own lock, which a collection holds."""
    host.run(
        """
        exec 7>>/nix/var/nix/gc.lock
        flock 7
        nix-aurora recover --yes >/run/said 2>&1 7>&- &
        until grep -q "Waiting for a garbage collection to finish" /run/said; do
            sleep 0.01
        done
        exec 7>&-
        wait $!
        """
    )


def test_damaged_page_is_found_by_doctor_and_its_fix_restores_it(host: Host) -> None:
    host.run(_BACKUP)
    before = _dump(host)
    host.run(
        """
        systemctl stop nix-daemon.service
        db=/var/lib/nix/var/nix/db/db.sqlite
        checkpoint="pragma wal_checkpoint(truncate)"
        python3 -c "import sqlite3; sqlite3.connect('$db').execute('$checkpoint')"
        head -c 4096 /dev/urandom | dd of=$db bs=4096 seek=1 conv=notrunc
        """
    )
    report = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)
    found = next(found for found in report["findings"] if found["severity"] != "note")
    assert found["id"] == "database-damaged"
    assert host.run(_BACKUP, check=False).returncode == 1
    host.run("systemctl reset-failed")
    host.run(found["fix"])
    assert _dump(host) == before
    assert _faults(host) == []
    _check_kept(host)


def test_next_boot_restores_the_database_in_the_namespace_layout(
    make_nix_tree: NixTreeMaker, make_host: HostMaker
) -> None:
    host = make_host(make_nix_tree(nix_dir=False, layout="namespace"))
    host.boot()
    add_program(host)
    path = build(host, "--out-link result")
    host.run(_BACKUP)
    before = _dump(host)
    host.run("rm -r /var/lib/nix/var/nix/db")
    host.reboot()
    assert _dump(host) == before
    assert host.run(f"nix-store --check-validity {path}").returncode == 0
    assert _faults(host) == []
    check_whole(host)
