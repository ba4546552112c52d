"""Test the RPM installed by rpm into a root like a host's, and the Nix in it."""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nix_aurora.store import hashes
from tests.build_users import GROUP_ID, IDS, NAMES
from tests.harness.roots import debian_root
from tests.harness.scratch import Scratch
from tests.rpm.builder import Built, query
from tests.units import UNITS

_RPMS = "/run/rpms"
_VERIFY = "rpm --verify nix-aurora"
_STATE = "stat --format '%n %i %y %z' /usr/bin/nix"
_IMPORT = "/usr/libexec/nix-aurora/import"
_FAULTS = re.compile("error|warn|fail|not found", re.IGNORECASE)  # faults that scriptlets print
# This prints modules without a compiled form that Python compares with the source, and compiled
# ones without a source. The second word of a compiled module is 3 in that form: PEP 552.
_UNCOMPILED = """
python3 -I - <<'END'
import importlib.util, pathlib, struct
modules = {*pathlib.Path("/usr/lib/nix-aurora/nix_aurora_host").rglob("*.py")}
compiled = {*pathlib.Path("/usr/lib/nix-aurora/nix_aurora_host").rglob("*.pyc")}
checked = {path for path in compiled if struct.unpack("<I", path.read_bytes()[4:8]) == (3,)}
wanted = {pathlib.Path(importlib.util.cache_from_source(str(path))) for path in modules}
print(len(wanted) > 100, sorted(map(str, wanted ^ checked)), sorted(map(str, compiled - wanted)))
END
"""
# These are the steps of nix.mount, and of a host's boot before it.
_MOUNT = "systemd-tmpfiles --create nix-aurora.conf; mount --bind /var/lib/nix /nix"
# The sample's Nix contains no /bin/sh for builds: the closure's sandbox.conf names one.
_DAEMON = """
. /usr/lib/nix-aurora/closure.env
echo "!include $CLOSURE_NIX/etc/nix/sandbox.conf" >>/etc/nix/nix.custom.conf
/usr/libexec/nix-aurora/daemon >/run/daemon.log 2>&1 &
for try in {1..100}; do
    [ ! -S /nix/var/nix/daemon-socket/socket ] || exit 0
    sleep 0.1
done
cat /run/daemon.log
exit 1
"""
_DERIVATION = """
builtins.derivation {
  name = "greeting";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "echo hello from $(id -u) >$out" ];
}
"""


@contextmanager
def _host(*rpms: Path) -> Iterator[Scratch]:
    with Scratch(debian_root()) as scratch:
        for rpm in rpms:
            scratch.copy_in(rpm, f"{_RPMS}/{rpm.name}")
        yield scratch


def _install(scratch: Scratch, built: Built, action: str = "--install") -> str:
    rpm = built.rpms["x86_64"]
    return scratch.run(f"rpm {action} --nosignature {_RPMS}/{rpm.name}").output


def _post_again(scratch: Scratch, built: Built) -> str:
    """Run %post as rpm does in an upgrade."""
    script = query(built.rpms["x86_64"], "%{POSTIN}")
    return scratch.run(f"sh -e -s 2 <<'END'\n{script}\nEND").output


@pytest.fixture
def host(built: Built, provides: Path) -> Iterator[Scratch]:
    """Yield a host on which the package is installed and nothing is imported."""
    with _host(provides, built.rpms["x86_64"]) as scratch:
        scratch.run(f"rpm --install --nosignature {_RPMS}/{provides.name}")
        assert not _FAULTS.search(_install(scratch, built))
        yield scratch


@pytest.fixture(scope="module")
def ready(built: Built, provides: Path) -> Iterator[Scratch]:
    """Yield a host with everything in place and a user alice; its tests keep that state."""
    with _host(provides, built.rpms["x86_64"]) as scratch:
        scratch.run(f"rpm --install --nosignature {_RPMS}/{provides.name}")
        _install(scratch, built)
        scratch.add_user("alice")
        scratch.run(f"{_MOUNT}\n{_IMPORT}")
        scratch.run(_DAEMON)
        yield scratch


# --- installing


def test_install_makes_users_and_nix(host: Scratch) -> None:
    assert host.run(_VERIFY).output == ""
    for name, number in (("nixbld1", IDS[0]), ("nixbld32", IDS[-1])):
        fields = host.run(f"getent passwd {name}").stdout.strip().split(":")
        assert fields[2:4] == [str(number), str(GROUP_ID)]
        assert fields[5:] == ["/var/empty", "/usr/sbin/nologin"]
    group = host.run("getent group nixbld").stdout.strip().split(":")
    assert group[2] == str(GROUP_ID)
    assert sorted(group[3].split(",")) == sorted(NAMES)
    assert host.run("stat --format '%F %a %U:%G' /nix").stdout == "directory 755 root:root\n"
    assert host.run("find /nix -mindepth 1").stdout == ""


def test_modules_are_compiled_by_the_host(host: Scratch) -> None:
    assert host.run(_UNCOMPILED).stdout == "True [] []\n"


def test_every_unit_is_sound(host: Scratch) -> None:
    """Let systemd check the installed units, with the programs that they run."""
    done = host.run(f"systemd-analyze verify --man=no --recursive-errors=no {' '.join(UNITS)}")
    assert done.output == ""


def test_the_preset_enables_what_a_boot_needs(host: Scratch) -> None:
    preset = host.read("/usr/lib/systemd/system-preset/80-nix-aurora.preset")
    units = re.findall(r"^enable (.*)$", preset, re.MULTILINE)
    assert {"nix.mount", "nix-setup.service", "nix-daemon.socket"} <= set(units) <= set(UNITS)
    for unit in units:
        assert host.run(f"systemctl is-enabled {unit}").stdout == "enabled\n"


def test_second_post_changes_nothing(host: Scratch, built: Built) -> None:
    before = host.run(_STATE).stdout
    users = host.run("sha256sum /etc/passwd /etc/group").stdout
    assert _post_again(host, built) == ""
    assert host.run(_STATE).stdout == before
    assert host.run("sha256sum /etc/passwd /etc/group").stdout == users
    assert host.run(_VERIFY).output == ""


@pytest.mark.parametrize("where", ["^nix=.*", "^nix=.*-"])
def test_post_repairs_a_wrapper(host: Scratch, built: Built, where: str) -> None:
    """A wrapper that names another path is replaced as a whole, never written in place."""
    host.run(f"sed -i 's|{where}|nix=/nix/store/another|' /usr/bin/nix")
    assert "/usr/bin/nix" in host.run(_VERIFY, check=False).stdout
    before = host.run("stat --format %i /usr/bin/nix").stdout
    _post_again(host, built)
    assert host.run("stat --format %i /usr/bin/nix").stdout != before
    assert host.run(_VERIFY).output == ""
    assert host.run("ls /usr/bin/nix.*", check=False).stdout == ""


@pytest.mark.parametrize(
    ("prepare", "cure"),
    [
        ("rm -f /run/ostree-booted", "sudo dnf reinstall nix-aurora"),
        (
            "touch /run/ostree-booted",
            "sudo rpm-ostree uninstall nix-aurora && sudo rpm-ostree install nix-aurora",
        ),
    ],
    ids=["ordinary", "ostree"],
)
def test_wrapper_beyond_repair_is_named(host: Scratch, prepare: str, cure: str) -> None:
    host.run(f"{prepare}; echo '#!/bin/sh' >/usr/bin/nix")
    done = host.run("/usr/libexec/nix-aurora/patch-wrapper", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "patch-wrapper: cannot set the path of Nix: "
        f"/usr/bin/nix: expected a line nix=…, got none\nhint: {cure}\n"
    )
    assert host.read("/usr/bin/nix") == "#!/bin/sh\n"
    assert host.run("ls /usr/bin/nix.*", check=False).stdout == ""


def test_nix_names_the_next_step_before_the_import(host: Scratch) -> None:
    done = host.run("nix-build --version", check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("nix-build: ")
    assert re.search(r"^hint: ", done.stderr, re.MULTILINE)


# --- use


def test_wrapper_runs_the_packaged_nix(ready: Scratch, built: Built) -> None:
    version = query(built.rpms["x86_64"], "%{VERSION}")
    assert ready.run("/usr/bin/nix --version", user="alice").stdout == f"nix (Nix) {version}\n"
    links = ready.run("rpm --query --list nix-aurora | grep ^/usr/bin/nix").stdout.split()
    assert len(links) > 5
    for link in links:
        done = ready.run(f"{link} --version", user="alice")
        assert done.stdout.splitlines()[0].endswith(version), link


def test_user_builds_through_the_daemon(ready: Scratch) -> None:
    """The build runs in the sandbox, as a build user; root owns the result."""
    script = f"cd; cat >x.nix <<'END'\n{_DERIVATION}\nEND\nnix-build --no-out-link x.nix"
    path = ready.run(script, user="alice", env={"HOME": "/home/alice"}).stdout.strip()
    assert re.fullmatch(r"/nix/store/\w{32}-greeting", path)
    # Inside the sandbox, a build user has the id 1000.
    assert ready.read(path) == "hello from 1000\n"
    assert ready.run(f"stat --format '%U %a' {path}").stdout == "root 444\n"
    assert ready.run(f"echo 1 >>{path}", user="alice", check=False).returncode != 0


def test_root_goes_through_the_daemon(ready: Scratch) -> None:
    assert "Store URL: daemon\n" in ready.run("nix store info 2>&1").stdout
    assert "Store URL: local\n" in ready.run("NIX_REMOTE=local nix store info 2>&1").stdout


def test_nix_verifies_the_store(ready: Scratch) -> None:
    done = ready.run("NIX_REMOTE=local nix-store --verify --check-contents")
    assert "error" not in done.output
    assert "not valid" not in done.output


def test_hashes_are_the_same_as_nixs(ready: Scratch) -> None:
    """Compare the manifest, the database, and nix-store --dump for every path."""
    manifest = json.loads(ready.read("/usr/lib/nix-aurora/closure.json"))
    script = """
for path; do
    echo "$path $(nix-store --dump "$path" | sha256sum)"
done
"""
    paths = [entry["path"] for entry in manifest["paths"]]
    assert len(paths) > 50
    lines = ready.run(f"set -- {' '.join(paths)}\n{script}").stdout.splitlines()
    dumped = {line.split()[0]: line.split()[1] for line in lines}
    shown = ready.run(
        f"nix-store --query --hash {' '.join(paths)}; nix-store --query --size {' '.join(paths)}"
    ).stdout.split()
    for index, entry in enumerate(manifest["paths"]):
        digest = bytes.fromhex(dumped[entry["path"]])
        assert entry["narHash"] == f"sha256-{base64.b64encode(digest).decode()}", entry["path"]
        assert hashes.parse_sha256(shown[index]) == digest, entry["path"]
        assert int(shown[len(paths) + index]) == entry["narSize"], entry["path"]


def test_default_profile_has_nix(ready: Scratch) -> None:
    done = ready.run("bash -lc 'command -v nix; echo $NIX_PROFILES'", user="alice")
    assert "/nix/var/nix/profiles/default" in done.stdout
    assert ready.run("test -x /nix/var/nix/profiles/default/bin/nix").output == ""


def test_second_import_changes_nothing(ready: Scratch) -> None:
    listing = "find /var/lib/nix/store /var/lib/nix/.nix-aurora -printf '%p %i %T@ %C@\\n' | sort"
    before = ready.run(listing).stdout
    assert ready.run(_IMPORT).output == ""
    assert ready.run(listing).stdout == before


def test_packaged_nix_survives_a_collection(ready: Scratch) -> None:
    ready.run("nix-collect-garbage -d")
    assert ready.run("/usr/bin/nix --version", user="alice").stdout.startswith("nix (Nix)")
    assert ready.run("nix-store --verify --check-contents 2>&1").stdout.count("missing") == 0


def test_use_leaves_the_package_unchanged(ready: Scratch) -> None:
    """Ignore the settings that the tests have edited."""
    assert ready.run(_VERIFY, check=False).output.split() == [
        *("S.5....T.", "c", "/etc/nix/nix.custom.conf")
    ]


# --- erasing, upgrading


def test_erase_keeps_the_store_and_says_so(host: Scratch) -> None:
    host.run(f"{_MOUNT}\n{_IMPORT}")
    done = host.run("rpm --erase nix-aurora")
    assert done.stdout == (
        "nix-aurora: your store and profiles are kept in /var/lib/nix.\n"
        "nix-aurora: to remove them, too: sudo rm -rf /var/lib/nix && sudo rmdir /nix\n"
    )
    assert host.run("ls /nix/store").stdout.count("\n") > 50
    left = host.run("ls -d /usr/bin/nix* /usr/lib/nix-aurora /etc/nix 2>/dev/null", check=False)
    assert left.stdout == ""
    assert host.run("systemctl is-enabled nix.mount 2>&1", check=False).stdout != "enabled\n"


def test_erase_without_a_store_prints_nothing(host: Scratch) -> None:
    assert "kept" not in host.run("rpm --erase nix-aurora").output


def test_upgrade_and_downgrade_import_both_nixes(
    built: Built, older: Built, provides: Path
) -> None:
    """The wrapper and the roots change with the package."""
    with _host(provides, built.rpms["x86_64"], older.rpms["x86_64"]) as scratch:
        scratch.run(f"rpm --install --nosignature {_RPMS}/{provides.name}")
        assert not _FAULTS.search(_install(scratch, older))
        scratch.run(f"{_MOUNT}\n{_IMPORT}")
        old, new = (query(each.rpms["x86_64"], "%{VERSION}") for each in (older, built))
        assert scratch.run("nix --version").stdout == f"nix (Nix) {old}\n"

        assert not _FAULTS.search(_install(scratch, built, "--upgrade"))
        assert scratch.run(_VERIFY).output == ""
        assert scratch.run(_UNCOMPILED).stdout == "True [] []\n"
        assert f"imported Nix {new}" in scratch.run(_IMPORT).stdout
        assert scratch.run("nix --version").stdout == f"nix (Nix) {new}\n"
        shown = scratch.run("/nix/var/nix/profiles/default/bin/nix --version").stdout
        assert shown == f"nix (Nix) {new}\n"

        assert not _FAULTS.search(_install(scratch, older, "--upgrade --oldpackage"))
        assert scratch.run(_VERIFY).output == ""
        assert f"imported Nix {old}: 0 of" in scratch.run(_IMPORT).stdout
        assert scratch.run("nix --version").stdout == f"nix (Nix) {old}\n"
        done = scratch.run("NIX_REMOTE=local nix-store --verify --check-contents")
        assert "error" not in done.output
