"""A database that is lost: what users keep is told from the disk, and registered again."""

import json
import shlex
from typing import Any

import pytest

from tests.harness.nspawn import Host
from tests.whole import add_program, check_clean, check_profile, check_whole

# Each result is told from the one before by its content; the last has a derivation with a root.
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
systemctl restart nix-setup.service
"""
_NIX = "export NIX_REMOTE=local\n"


@pytest.fixture
def host(nix_host: Host) -> Host:
    """Give a host where a user keeps a profile, a result and a derivation."""
    add_program(nix_host)
    nix_host.run_as("tester", _KEEP)
    return nix_host


def _recover(host: Host, options: str = "--yes", code: int = 0) -> dict[str, Any]:
    done = host.run(f"nix-aurora recover --json {options}", check=False)
    assert done.returncode == code, done.output
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _live(host: Host) -> set[str]:
    """Give what Nix's collector would keep, without what only made it."""
    options = "--option keep-derivations false"
    return set(host.run(f"{_NIX}nix-store --gc --print-live {options}").stdout.split())


def _records(host: Host) -> dict[str, list[str]]:
    """Give hash, size and references of each valid path, by Nix's own dump."""
    lines = host.run(f"{_NIX}nix-store --dump-db").stdout.splitlines()
    records = {}
    while lines:
        path, digest, size, _deriver, count, *lines = lines
        records[path] = [digest, size, *lines[: int(count)]]
        lines = lines[int(count) :]
    return records


def _faults(host: Host) -> list[str]:
    found = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)["findings"]
    return [finding["id"] for finding in found if finding["severity"] != "note"]


def _check_kept(host: Host) -> None:
    check_profile(host)
    assert host.run_as("tester", "cat $(cat $(cut -d ' ' -f 1 result))").stdout == "told\n"
    assert "-inner.drv\n" in host.run_as("tester", "nix-store --query --requisites drv").stdout
    check_whole(host)


def test_what_users_keep_is_registered_again(host: Host) -> None:
    """As Nix had it, to the last reference; and the collector spares it."""
    live, records = _live(host), _records(host)
    host.run(_LOSE)
    assert "before a garbage collection takes it, run: nix-aurora recover" in host.journal(
        "nix-setup.service"
    )
    assert _faults(host) == ["paths-unregistered"]
    planned = _recover(host, "--dry-run")
    assert not planned["registered"]
    assert planned["unfit"] == {}
    assert _faults(host) == ["paths-unregistered"]

    assert _recover(host) == planned | {"registered": True}
    assert _live(host) == live
    after = _records(host)
    assert after == {path: records[path] for path in after}
    assert set(planned["paths"]) <= live
    assert _faults(host) == []
    host.run("nix-collect-garbage -d")
    _check_kept(host)
    assert _recover(host)["paths"] == []


def test_it_asks(host: Host) -> None:
    host.run(_LOSE)
    refused = host.run_as("tester", "sudo nix-aurora recover", login=False, check=False)
    assert refused.returncode == 2
    assert "hint: sudo nix-aurora recover --yes" in refused.stderr
    for answer, code, faults in (("no", 1, ["paths-unregistered"]), ("yes", 0, [])):
        typed = f"echo {answer} | script --quiet --return --command 'nix-aurora recover' /dev/null"
        assert host.run(typed, check=False).returncode == code
        assert _faults(host) == faults
    _check_kept(host)


def test_what_is_not_as_nix_left_it_is_left_out(host: Host) -> None:
    """With all that refers to it; the rest is registered."""
    inner, middle = host.run_as(
        "tester", "middle=$(cut -d ' ' -f 1 result); cat $middle; echo $middle"
    ).stdout.split()
    outer = host.run_as("tester", "readlink result").stdout.strip()
    host.run(f"{_LOSE}rm {inner}; echo tol >{inner}")  # the file alone: links share their times
    said = _recover(host, code=1)
    assert set(said["unfit"]) >= {inner, middle, outer}
    assert "is not as Nix leaves it" in said["unfit"][inner]
    assert not set(said["unfit"]) & set(said["paths"])
    check_clean(host.run(f"{_NIX}nix-store --verify --check-contents"))
    assert _faults(host) == ["paths-unregistered"]

    # As it was told: build again, and all is well.
    host.run_as("tester", _KEEP)
    assert _recover(host)["unfit"] == {}
    _check_kept(host)


def test_it_waits_for_a_collection(host: Host) -> None:
    """Nix's own lock tells."""
    host.run(_LOSE)
    host.run(
        """
        exec 7>>/nix/var/nix/gc.lock
        flock 7
        nix-aurora recover --yes >/run/said 2>&1 7>&- &
        until grep -q "A garbage collection is running: waiting for it" /run/said; do
            sleep 0.01
        done
        exec 7>&-
        wait $!
        """
    )
    _check_kept(host)
