"""Test what an unprivileged user can plant in the store, and how root and others treat it."""

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.whole import add_program, check_clean, check_whole

_HONEST = "honest source\\n"
# The hash of the derivation is fixed: Nix registers its output only if it has this hash.
_FIXED = """
derivation {{
  name = "source";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" {script} ];
  outputHashMode = "{mode}";
  outputHashAlgo = "sha256";
  outputHash = "{digest}";
}}
"""
# {content} is replaced by the output of printf.
_SCRIPTS = {
    "flat": "printf '{content}' >$out",
    "recursive": "mkdir -p $out/bin; printf '{content}' >$out/bin/tool; chmod +x $out/bin/tool",
}


@pytest.fixture(scope="module")
def host(nix_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host with a user's program, and a copy of its database."""
    with Host(nix_tree, tmp_path_factory.mktemp("attacker") / "host") as host:
        add_program(host)
        host.run("systemctl start nix-database-backup.service")
        yield host


def _expression(mode: str, content: str, digest: str) -> str:
    # In Nix's own quotes, a dollar sign is special only before a brace.
    script = json.dumps(_SCRIPTS[mode].format(content=content))
    return shlex.quote(_FIXED.format(script=script, mode=mode, digest=digest))


def _honest_hash(host: Host, mode: str) -> str:
    make = _SCRIPTS[mode].format(content=_HONEST)
    flat = "--flat" if mode == "flat" else ""
    command = f"out=$(mktemp -u); {make}; nix-hash {flat} --type sha256 $out"
    return host.run_as("tester", command).stdout.strip()


def _plant(host: Host, mode: str) -> str:
    """Let the user "other" build evil content at the honest path, which Nix refuses.

    Return the path.
    """
    digest = _honest_hash(host, mode)
    evil = _expression(mode, "evil content\\n", digest)
    path = host.run_as(
        "other", f"nix-store --query --outputs $(nix-instantiate --expr {evil})"
    ).stdout.strip()
    refused = host.run_as("other", f"nix-build --no-out-link --expr {evil}", check=False)
    assert refused.returncode != 0
    assert "hash mismatch" in refused.stderr
    return path


def _root(host: Host, how: str, path: str) -> None:
    """Let the user "other" turn their registered root into a link to the path."""
    own = 'derivation { name = "own"; system = builtins.currentSystem; builder = "/bin/sh"; '
    own = shlex.quote(own + 'args = [ "-c" "mkdir $out" ]; }')
    if how == "result":
        host.run_as("other", f"nix-build --out-link ~/result --expr {own}; ln -sfn {path} ~/result")
        return
    host.run_as(
        "other",
        f"nix-env --profile ~/profile --set $(nix-build --no-out-link --expr {own})\n"
        f"ln -sfn {path} ~/profile-1-link",
    )


def _findings(host: Host) -> list[dict[str, Any]]:
    report = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)
    found: list[dict[str, Any]] = report["findings"]
    return found


def _faults(host: Host) -> list[str]:
    return [found["id"] for found in _findings(host) if found["severity"] != "note"]


@pytest.mark.parametrize("how", ["result", "profile"])
@pytest.mark.parametrize("mode", ["flat", "recursive"])
def test_planted_content_is_never_registered(host: Host, mode: str, how: str) -> None:
    """Neither doctor's fix nor recover registers it; the victim builds the honest content."""
    path = _plant(host, mode)
    lies_there = host.run(f"grep -r evil {path}", check=False).returncode == 0
    _root(host, how, path)
    assert _faults(host) == []
    notes = [found for found in _findings(host) if found["id"] == "roots-unregistered"]
    assert bool(notes) == lies_there
    assert all("recover" not in note["fix"] for note in notes)

    said = json.loads(host.run("nix-aurora recover --yes --json").stdout)
    assert path not in said["paths"]
    assert host.run(f"nix-store --check-validity {path}", check=False).returncode != 0

    honest = _expression(mode, _HONEST, _honest_hash(host, mode))
    built = host.run_as("tester", f"nix-build --no-out-link --expr {honest}").stdout.strip()
    content = host.run_as("tester", f"cat $(find {built} -type f)").stdout
    assert content == "honest source\n"
    if mode == "flat" and how == "result":
        assert built == path
    check_clean(host.run("NIX_REMOTE=local nix-store --verify --check-contents"))
    host.run(f"rm -f /var/home/other/result /var/home/other/profile*; nix-store --delete {built}")


def test_planted_content_stays_out_after_a_loss(host: Host) -> None:
    """Lose the database; its copy records the honest content of the same path."""
    digest = _honest_hash(host, "flat")
    honest = _expression("flat", _HONEST, digest)
    path = host.run_as("tester", f"nix-build --out-link ~/source --expr {honest}").stdout.strip()
    host.run("systemctl start nix-database-backup.service")
    host.run(f"rm /var/home/tester/source; nix-store --delete {path}")
    assert _plant(host, "flat") == path
    _root(host, "result", path)
    assert "paths-unregistered" not in _faults(host)
    host.run(
        "systemctl stop nix-daemon.service; rm -r /var/lib/nix/var/nix/db\n"
        "systemctl restart nix-setup.service"
    )
    assert host.run(f"nix-store --check-validity {path}", check=False).returncode != 0
    assert _faults(host) == []
    host.run("nix-aurora recover --yes")
    assert host.run(f"nix-store --check-validity {path}", check=False).returncode != 0
    check_whole(host)


@pytest.mark.parametrize(
    "target",
    [
        "/nix/store/.links",
        "/nix/store/..",
        "/nix/store/../var/nix/db",
        "/nix/store/../../etc/shadow",
        "/nix/store",
    ],
)
def test_root_outside_the_store_is_no_finding(host: Host, target: str) -> None:
    host.run("rm -f /var/home/other/result")
    before = _findings(host)
    _root(host, "result", target)
    assert _findings(host) == before
    said = json.loads(host.run("nix-aurora recover --yes --json").stdout)
    assert said["lost"] == {}
    host.run("rm -f /var/home/other/result")


def test_copies_are_only_for_root(host: Host) -> None:
    refused = host.run_as("other", "cat /var/lib/nix/.nix-aurora/database/1/db.sqlite", check=False)
    assert refused.returncode == 1
    modes = host.run("stat --format=%a:%U /var/lib/nix/.nix-aurora/database{,/1,/1/*}").stdout
    assert modes.split() == ["700:root", "700:root", *["600:root"] * 3]
    status = json.loads(host.run_as("other", "nix-aurora status --json", login=False).stdout)
    assert status["database"]["copies"] is None
