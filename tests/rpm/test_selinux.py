"""Test the SELinux module: its labels, and that it never prevents a policy from being built."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from nix_aurora.run import run
from tests.harness.ostree import bootable_tree
from tests.harness.roots import debian_root
from tests.harness.scratch import Scratch
from tests.rpm.builder import TOP, Built

pytestmark = pytest.mark.long

_MODULE = TOP / "payload/usr/share/selinux/packages/targeted/nix-aurora.cil"
_FEDORA = tomllib.loads(Path(__file__).with_name("fedora_policy.toml").read_text())
_NAME = "0123456789abcdfghijklmnpqrsvwxyz-hello-2.12"
# These names are below /nix and below /var/lib/nix.
_TABLE = {
    "bin_t": (
        *("", "store", "store/.links", "store/.links/0c1q", "store/trash", "lost+found"),
        *(f"store/{_NAME}", f"store/{_NAME}/bin", f"store/{_NAME}/bin/hello"),
        *(f"store/{_NAME}/sbin/hellod", f"store/{_NAME}/libexec/hello", f"store/{_NAME}/init"),
        *(f"store/{_NAME}/lib", f"store/{_NAME}/lib64", f"store/{_NAME}/lib/libhello.so.1"),
        *(f"store/{_NAME}/lib/systemd/system/hello.service", f"store/{_NAME}/nix-support/setup"),
        *(f"store/{_NAME}/share/man/man1/hello.1.gz", f"store/{_NAME}/share/applications"),
        *(f"store/{_NAME}/etc/profile.d/hello.sh", f"store/{_NAME}/var/lib/hello"),
        *(f"store/{_NAME}/with a space", f"store/{_NAME}/ünïcode", f"store/{_NAME}/a\\b"),
        *(f"store/{_NAME}/(x)", f"store/{_NAME}/[y]", f"store/{_NAME}/$z", f"store/{_NAME}/.x"),
        *(f"store/{_NAME}/nix/store", f"store/{_NAME}/var/nix/daemon-socket/socket"),
        *(f"store/{_NAME}/daemon-socket/socket", f"store/{_NAME}/{'x' * 255}"),
        *(
            f"store/{_NAME}.lock",
            f"store/{_NAME}.drv",
            f"store/{_NAME}.check",
            "store/0c1q-a+b?c=d",
        ),
        *(f"store/{_NAME}.drv.chroot/root/nix/store", f"store/tmp-1-2/{_NAME}", "store/x.tar.gz"),
        *("var", "var/nix", "var/nix/db", "var/nix/db/db.sqlite", "var/nix/db/db.sqlite-wal"),
        *("var/nix/db/big-lock", "var/nix/gc.lock", "var/nix/gc-socket/socket"),
        *("var/nix/temproots/1", "var/nix/userpool2/slot-0", "var/nix/builds/nix-1-0"),
        *("var/nix/profiles", "var/nix/profiles/default", "var/nix/profiles/default-1-link"),
        *("var/nix/profiles/per-user/someone/profile", "var/nix/profiles/per-user/root/channels"),
        *("var/nix/gcroots/auto/0c1q", "var/nix/gcroots/nix-aurora/nix", "var/log/nix/drvs/0c/1q"),
        *(".nix-aurora", ".nix-aurora/unpack/store", ".nix-aurora/imported", ".nix-aurora/aside/x"),
        *("relocated/store", "relocated/var/nix/db/db.sqlite", "var/nix/daemon-sockets"),
    ),
    "var_run_t": (
        *("var/nix/daemon-socket", "var/nix/daemon-socket/socket"),
        *("var/determinate", "var/determinate/determinate-nixd.socket"),
    ),
    "var_lib_t": ("daemon-socket", "daemon-socket/socket"),
}
_ELSEWHERE = {
    "/run/nix/store/x": "bin_t",
    "/run/nix-aurora/layout": "var_run_t",
    "/run/nix-root/layer": "var_run_t",
    # Files of other packages keep their labels.
    "/nixos": "default_t",
    "/var/lib/nixos": "var_lib_t",
}


@pytest.fixture(scope="module")
def host(built: Built) -> Iterator[Scratch]:
    """Yield a host with a policy and the package, installed by rpm."""
    with Scratch(bootable_tree(enforcing=True).layers) as scratch:
        scratch.copy_in(built.rpms["noarch"], "/run/rpms/selinux.rpm")
        scratch.run("mkdir -p /var/home /var/tmp")  # rpm's scriptlets have their own mounts there
        said = scratch.run("rpm --install --nosignature /run/rpms/selinux.rpm").output
        assert "Failed" not in said
        yield scratch


def _types(host: Scratch, paths: list[str]) -> dict[str, str]:
    lines = host.run(f"matchpathcon {shlex.join(paths)}").stdout.splitlines()
    pairs = [line.split("\t") for line in lines]
    return {path: context.split(":")[2] for path, context in pairs}


def test_both_names_of_sixty_paths_have_the_same_label(host: Scratch) -> None:
    wanted = {
        f"{base}/{name}".rstrip("/"): kind
        for kind, names in _TABLE.items()
        for name in names
        for base in ("/nix", "/var/lib/nix")
    }
    assert len(wanted) >= 2 * 60
    assert _types(host, list(wanted)) == wanted
    assert _types(host, list(_ELSEWHERE)) == _ELSEWHERE


def test_module_uses_only_names_that_fedora_has() -> None:
    text = re.sub(r";.*", "", _MODULE.read_text())
    contexts = re.findall(r"\((\w+) (\w+) (\w+) \(\((\w+)\) \((\w+)\)\)\)", text)
    users, roles, types, *levels = (set(column) for column in zip(*contexts, strict=True))
    assert types == set(_FEDORA["types"])
    assert (users, roles) == (set(_FEDORA["users"]), set(_FEDORA["roles"]))
    assert levels == [set(_FEDORA["sensitivities"])] * 2
    assert not re.search(r"\((allow|auditallow|dontaudit|type|typeattribute\w*) ", text)


@pytest.mark.parametrize(
    "name", [name for kind in _FEDORA.values() if isinstance(kind, dict) for name in kind]
)
def test_module_loads_without_any_one_name(host: Scratch, name: str, tmp_path: Path) -> None:
    """Without the name, the module lacks only the rules that need the name."""
    module, text = tmp_path / "nix-aurora.cil", re.sub(r";.*", "", _MODULE.read_text())
    module.write_text(re.sub(rf"\b{name}\b", "nobody_knows", text))
    blocks = text.split("(optional ")[1:]
    kept = sum(block.count("(filecon ") for block in blocks if not re.search(rf"\b{name}\b", block))
    host.copy_in(module, "/run/less/nix-aurora.cil")
    host.run("semodule -n -s targeted -X 300 -i /run/less/nix-aurora.cil")
    contexts = host.read("/etc/selinux/targeted/contexts/files/file_contexts")
    assert len(re.findall(r"^\S*/nix\S*\(/\.\+\)\?", contexts, re.MULTILINE)) == kept
    host.run("semodule -n -s targeted -X 300 -r nix-aurora")


def test_module_loads_beside_every_module_of_the_policy(host: Scratch) -> None:
    """The guests of other tests load only the modules whose programs they have."""
    off = "$(ls /etc/selinux/targeted/active/modules/disabled)"
    host.run(f"semodule -n -s targeted -e {off}")
    assert "wireshark\n" in host.run("semodule -s targeted -l").stdout
    assert _types(host, ["/nix/store", "/var/lib/nix"]) == dict.fromkeys(
        ("/nix/store", "/var/lib/nix"), "bin_t"
    )


def test_erased_module_leaves_nothing(host: Scratch) -> None:
    host.run("rpm --erase nix-aurora-selinux")
    assert "nix-aurora" not in host.run("semodule -s targeted -l").stdout
    assert _types(host, ["/nix/store", "/var/lib/nix"]) == {
        "/nix/store": "default_t",
        "/var/lib/nix": "var_lib_t",
    }


def test_fedoras_macros_get_the_policy_and_the_module(built: Built) -> None:
    """If a distribution has these macros, the build uses its own."""
    names = ("install", "uninstall")
    defined = [
        f"selinux_modules_{name}(s:p:) {name} %{{-s*}} %{{!-p:200}}: %{{*}}" for name in names
    ]
    options = [word for macro in defined for word in ("--define", macro)]
    form = "%{NAME}|%{POSTIN}|%{POSTUN}|%{POSTTRANS}\n"
    spec = built.out / "rpmbuild/SPECS/nix-aurora.spec"
    said = run(["rpmspec", "--query", *options, "--queryformat", form, spec])
    module = f"/{_MODULE.relative_to(TOP / 'payload')}"
    assert (
        f"nix-aurora-selinux|install targeted 200: {module}|uninstall targeted 200: nix-aurora|"
        in (said.replace("\n", ""))
    )


def test_module_does_nothing_without_a_policy(built: Built) -> None:
    with Scratch(debian_root()) as scratch:
        scratch.copy_in(built.rpms["noarch"], "/run/selinux.rpm")
        assert scratch.run("rpm --install --nosignature --nodeps /run/selinux.rpm").output == ""
        scratch.run("[ ! -e /etc/selinux/targeted ]; rpm --erase nix-aurora-selinux")
