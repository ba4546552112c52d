"""The SELinux module: what it labels, and that it can never keep a policy from being built."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.ostree import bootable_tree
from tests.harness.roots import debian_root
from tests.harness.scratch import Scratch
from tests.rpm.builder import TOP, Built

_MODULE = TOP / "payload/usr/share/selinux/packages/targeted/nix-aurora.cil"
_FEDORA = tomllib.loads(Path(__file__).with_name("fedora_policy.toml").read_text())
_NAME = "0123456789abcdfghijklmnpqrsvwxyz-hello-2.12"
# By their names below /nix and below /var/lib/nix.
_TABLE = {
    "bin_t": (
        *("", "store", "store/.links", "store/.links/0c1q"),
        *(f"store/{_NAME}", f"store/{_NAME}/bin/hello", f"store/{_NAME}/lib/libhello.so.1"),
        *(f"store/{_NAME}/lib/systemd/system/hello.service", f"store/{_NAME}/share/man/man1"),
        *(f"store/{_NAME}/etc/profile.d/hello.sh", f"store/{_NAME}.lock", f"store/{_NAME}.drv"),
        *(f"store/{_NAME}.drv.chroot/root/nix/store", f"store/{_NAME}/with a space"),
        *("var", "var/nix", "var/nix/db/db.sqlite", "var/nix/gc.lock", "var/nix/temproots/1"),
        *("var/nix/profiles/default", "var/nix/profiles/per-user/someone/profile-1-link"),
        *("var/nix/gcroots/auto/0c1q", "var/nix/builds/nix-1-0", "var/log/nix/drvs/0c/1q.drv.bz2"),
        *(".nix-aurora/unpack/store", ".nix-aurora/imported"),
    ),
    "var_run_t": (
        *("var/nix/daemon-socket", "var/nix/daemon-socket/socket"),
        "var/determinate/determinate-nixd.socket",
    ),
    "var_lib_t": ("daemon-socket/socket",),
}
_ELSEWHERE = {
    "/run/nix/store/x": "bin_t",
    "/run/nix-aurora/layout": "var_run_t",
    "/run/nix-root/layer": "var_run_t",
    # What is not ours stays as it is.
    "/nixos": "default_t",
    "/var/lib/nixos": "var_lib_t",
}


@pytest.fixture(scope="module")
def host(built: Built) -> Iterator[Scratch]:
    """Give a host with a policy and the package, installed by rpm."""
    with Scratch(bootable_tree(enforcing=True).layers) as scratch:
        scratch.copy_in(built.rpms["noarch"], "/run/rpms/selinux.rpm")
        scratch.run("mkdir -p /var/home /var/tmp")  # rpm's scriptlets have them of their own
        said = scratch.run("rpm --install --nosignature /run/rpms/selinux.rpm").output
        assert "Failed" not in said
        yield scratch


def _types(host: Scratch, paths: list[str]) -> dict[str, str]:
    quoted = " ".join(f"'{path}'" for path in paths)
    lines = host.run(f"matchpathcon {quoted}").stdout.splitlines()
    pairs = [line.split("\t") for line in lines]
    return {path: context.split(":")[2] for path, context in pairs}


def test_both_names_of_sixty_paths(host: Scratch) -> None:
    wanted = {
        f"{base}/{name}".rstrip("/"): kind
        for kind, names in _TABLE.items()
        for name in names
        for base in ("/nix", "/var/lib/nix")
    }
    assert len(wanted) == 60
    assert _types(host, list(wanted)) == wanted
    assert _types(host, list(_ELSEWHERE)) == _ELSEWHERE


def test_it_uses_names_that_fedora_has() -> None:
    text = re.sub(r";.*", "", _MODULE.read_text())
    contexts = re.findall(r"\((\w+) (\w+) (\w+) \(\((\w+)\) \((\w+)\)\)\)", text)
    users, roles, types, *levels = (set(column) for column in zip(*contexts, strict=True))
    others = _FEDORA["others"]
    assert types == set(_FEDORA["types"])
    assert (users, roles) == (set(others["users"]), set(others["roles"]))
    assert levels == [set(others["sensitivities"])] * 2
    assert not re.search(r"\((allow|auditallow|dontaudit|type|typeattribute\w*) ", text)


@pytest.mark.parametrize("name", [*_FEDORA["types"], "system_u", "object_r"])
def test_it_loads_without_any_one_name(host: Scratch, name: str, tmp_path: Path) -> None:
    """And what needs the name is all that is missing then."""
    module, text = tmp_path / "nix-aurora.cil", re.sub(r";.*", "", _MODULE.read_text())
    module.write_text(re.sub(rf"\b{name}\b", "nobody_knows", text))
    blocks = text.split("(optional ")[1:]
    kept = sum(block.count("(filecon ") for block in blocks if not re.search(rf"\b{name}\b", block))
    host.copy_in(module, "/run/less/nix-aurora.cil")
    host.run("semodule -n -s targeted -X 300 -i /run/less/nix-aurora.cil")
    contexts = host.read("/etc/selinux/targeted/contexts/files/file_contexts")
    assert len(re.findall(r"^\S*/nix\S*\(/\.\+\)\?", contexts, re.MULTILINE)) == kept
    host.run("semodule -n -s targeted -X 300 -r nix-aurora")


def test_erased_it_leaves_nothing(host: Scratch) -> None:
    host.run("rpm --erase nix-aurora-selinux")
    assert "nix-aurora" not in host.run("semodule -s targeted -l").stdout
    assert _types(host, ["/nix/store", "/var/lib/nix"]) == {
        "/nix/store": "default_t",
        "/var/lib/nix": "var_lib_t",
    }


def test_a_host_without_a_policy(built: Built) -> None:
    with Scratch(debian_root()) as scratch:
        scratch.copy_in(built.rpms["noarch"], "/run/selinux.rpm")
        assert scratch.run("rpm --install --nosignature --nodeps /run/selinux.rpm").output == ""
        scratch.run("[ ! -e /etc/selinux/targeted ]; rpm --erase nix-aurora-selinux")
