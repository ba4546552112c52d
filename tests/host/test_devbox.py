"""Test that devbox finds Nix and uses it; devbox.py performs its steps, and names their sources.

There is no network: a user's own flake and a binary cache on the loopback replace nixpkgs and
cache.nixos.org.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.nspawn import Host
from tests.host.conftest import NixTreeMaker
from tests.host.expressions import ADD_BASH, copy_expressions

_DEVBOX = "/usr/bin/python3 /srv/devbox.py"
_CACHE = "http://127.0.0.1:8642"
_DEFAULT = "/nix/var/nix/profiles/default"
_DAEMON_SH = f"{_DEFAULT}/etc/profile.d/nix-daemon.sh"
_PROJECT = "/var/home/tester/project"
_PROFILE = f"{_PROJECT}/.devbox/nix/profile/default"
# These start a devbox that Nix installed; nix shell and nix run have the same effect.
_STARTS = {
    "mount": [""],
    "namespace": ["nix-aurora shell ", "nix shell --file /srv/greet.nix --command "],
}
# A deployment keeps the packages' original /etc in /usr/etc.
_IMAGE = "mkdir -p /usr/etc; cp -a /etc/profile.d /usr/etc/"
_FLAKE = r"""
{
  outputs = { self }: {
    packages.SYSTEM.greet = derivation {
      name = "greet-1";
      system = "SYSTEM";
      builder = "/bin/sh";
      args = [ "-c" "mkdir -p $out/bin; echo '#!/bin/sh' >$out/bin/greet
        echo 'echo greeting from greet' >>$out/bin/greet; chmod +x $out/bin/greet" ];
    } // { pname = "greet"; version = "1"; };
    legacyPackages.SYSTEM = {
      bashInteractive = ./bash;
      mkShell = { buildInputs }: derivation {
        inherit buildInputs;
        name = "shell";
        outputs = [ "out" ];
        system = "SYSTEM";
        builder = "${./bash}/bin/bash";
      };
    };
  };
}
"""
_ADD_PACKAGES = f"""
{ADD_BASH}
mkdir packages
mv bash packages/
sed "s/SYSTEM/$(uname -m)-linux/" /srv/flake.nix >packages/flake.nix
"""
# This adds a path that only the cache has; the host trusts the cache.
_ADD_CACHE = f"""
cd /srv
nix key generate-secret --key-name cache-1 >key
path=$(nix build --no-link --print-out-paths --file greet.nix --argstr name cached)
nix copy --to 'file:///srv/cache?secret-key=/srv/key' "$path"
nix store delete "$path" >/dev/null
cat >>/etc/nix/nix.custom.conf <<END
substituters = {_CACHE}
trusted-public-keys = $(nix key convert-secret-to-public <key)
END
ip address add 192.0.2.1/32 dev lo # without an address Nix asks no cache
systemctl restart nix-daemon.service
systemd-run --quiet --property=WorkingDirectory=/srv/cache \
    python3 -m http.server --bind 127.0.0.1 8642
until curl --silent --fail {_CACHE}/nix-cache-info >/dev/null; do sleep 0.1; done
echo "$path"
"""


@pytest.fixture(scope="module", params=["mount", "namespace"])
def layout(request: pytest.FixtureRequest) -> str:
    """Return the layout of the module's host."""
    return str(request.param)


@pytest.fixture(scope="module")
def host(
    layout: str, make_nix_tree: NixTreeMaker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """Yield a host where tester has a flake, and whose cache has a path that the store lacks."""
    place = tmp_path_factory.mktemp(f"devbox-{layout}")
    tree = make_nix_tree(nix_dir=False, layout=layout).changed(place / "image", _IMAGE)
    with Host(tree, place / "host") as host:
        (place / "files").mkdir()
        copy_expressions(host, place / "files")
        (place / "flake.nix").write_text(_FLAKE)
        host.copy_in(place / "flake.nix", "/srv/flake.nix")
        host.copy_in(Path(__file__).with_name("devbox.py"), "/srv/devbox.py")
        host.run_as("tester", _ADD_PACKAGES)
        yield host
        assert host.read("/run/nix-aurora/layout") == f"{layout}\n"
        assert host.failed_units() == []


@pytest.fixture(scope="module")
def cached(host: Host) -> str:
    """Return the store path that only the cache has."""
    return host.run(_ADD_CACHE).stdout.strip()


def _find(host: Host, script: str, *, shell: str = "bash") -> dict[str, str | None]:
    """Return how devbox found Nix, the file that it read, and the path; ``script`` starts it."""
    found = json.loads(host.run_as("tester", f"{script}{_DEVBOX} find", shell=shell).stdout)
    version = host.run(". /usr/lib/nix-aurora/closure.env; echo $CLOSURE_VERSION").stdout.strip()
    machine = host.run("uname -m").stdout.strip()
    known = (found.pop("version"), found.pop("system"), found.pop("store"))
    assert known == (version, f"{machine}-linux", "/nix/store")
    return dict(found)


def _in_path(nix: str, sourced: str | None = None) -> dict[str, str | None]:
    return {"by": "PATH", "sourced": sourced, "nix": nix}


# --- detection


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_login_finds_nix_by_its_name(host: Host, layout: str, shell: str) -> None:
    assert _find(host, "", shell=shell) == (
        _in_path(f"{_DEFAULT}/bin/nix")
        if layout == "mount"
        else _in_path("/usr/bin/nix", "/usr/etc/profile.d/nix.sh")
    )


@pytest.mark.parametrize("begin", ["env -i HOME=$HOME PATH=/usr/bin ", "sudo -n "])
def test_shells_without_a_login_find_nix(host: Host, layout: str, begin: str) -> None:
    assert _find(host, begin) == (
        _in_path(f"{_DEFAULT}/bin/nix", _DAEMON_SH)
        if layout == "mount"
        else _in_path("/usr/bin/nix", "/usr/etc/profile.d/nix.sh")
    )


def test_program_of_a_private_root_finds_nix(host: Host) -> None:
    assert _find(host, "nix-aurora shell ") == _in_path(f"{_DEFAULT}/bin/nix")
    found = _find(host, "nix shell --file /srv/greet.nix --command ")
    assert found in (
        _in_path(f"{_DEFAULT}/bin/nix"),
        _in_path(f"{_DEFAULT}/bin/nix", _DAEMON_SH),
    )


def test_default_profile_leads_to_nix_without_path(host: Host, layout: str) -> None:
    host.run_as("tester", "mkdir -p bin; ln -sf /bin/sh bin/")
    for start in _STARTS[layout]:
        found = _find(host, f"{start}env -i HOME=$HOME PATH=$HOME/bin ")
        assert found == {"by": "profile", "sourced": None, "nix": f"{_DEFAULT}/bin/nix"}


# --- use


def test_steps_of_devbox_work_in_a_project(host: Host, layout: str, cached: str) -> None:
    for start in _STARTS[layout]:
        seen = _use(host, start, cached)
        paths = seen["paths"]
        assert (seen["name"], seen["search"], seen["locked"]) == ("greet-1", ["greet"], "path")
        assert seen["by hash"] == cached
        assert (seen["before"], seen["after"]) == ([False, False], [True, True])
        assert len(paths) == 2
        assert seen["environment"] == seen["installed"] == paths
        assert seen["empty"] == []
        assert seen["started"] == ["greeting from greet", "greeting from cached"]
        assert seen["bash"][0].isdigit()
        assert seen["left"] == [path for path in paths if path != cached]
        assert seen["daemon"] == host.run("nix --version").stdout.split()[-1]
        assert seen["substituters"] == [_CACHE]
        host.run_as("tester", "sudo -n nix-collect-garbage")
        kept = host.run_as("tester", f"nix-aurora shell {_PROFILE}/bin/greet").stdout
        assert kept == "greeting from greet\n"


def test_only_programs_fail_outside_of_a_private_root(host: Host, layout: str, cached: str) -> None:
    """Use a devbox that Nix did not install: its commands work, but the programs do not start."""
    seen = _use(host, "", cached)
    assert len(seen["installed"]) == 2
    assert ("exit code 127" in seen["started"]) == (layout == "namespace")


def _use(host: Host, start: str, cached: str) -> dict[str, Any]:
    host.run_as("tester", f"rm -rf {_PROJECT}; sudo -n nix-collect-garbage")
    script = f"{start}{_DEVBOX} use {_PROJECT} ~/packages {_CACHE} {cached}"
    return dict(json.loads(host.run_as("tester", script).stdout))
