"""Test the real package, layered like rpm-ostree does it: nothing is refused, lost, or fails."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from nix_aurora.files import sha256_file
from tests.build_users import GROUP_ID, IDS
from tests.harness.rpm_ostree.commit import DEPLOYMENT, commit
from tests.harness.rpm_ostree.container import Root
from tests.harness.rpm_ostree.importer import TMPFILES, import_package
from tests.harness.rpm_ostree.package import read_package
from tests.harness.tree import atomic_tree
from tests.rpm.builder import Built
from tests.rpm.tiny import ALTFILES, base, layered

pytestmark = pytest.mark.long

_ARCH = "x86_64"
_LINK = re.compile(r"Created symlink '/etc/systemd/system/\S+' -> '/usr/lib/systemd/system/\S+'\.")
_USER = re.compile(r"Creating (group|user) 'nixbld\d*' .*")
_IDS = "getent passwd nixbld1 nixbld32; getent group nixbld"
_ENABLED = "find /etc/systemd/system -name '*nix*' -printf '%P -> %l\\n' | sort"


@pytest.fixture(scope="module")
def installed(built: Built) -> Iterator[tuple[Root, dict[str, str]]]:
    """Yield a host's tree with the package, and the output of its scriptlets."""
    with base() as root:
        said = layered(root, built.rpms[_ARCH])
        yield root, said


def test_nothing_is_refused_dropped_or_changed(built: Built, tmp_path: Path) -> None:
    """Each file in the header must be in the commit, with its bytes, its mode or its target."""
    rpm = built.rpms[_ARCH]
    package = import_package(rpm, tmp_path / "commit")
    for file in package.files:
        there = tmp_path / "commit" / re.sub("^/etc", "usr/etc", file.name).lstrip("/")
        if stat.S_ISLNK(file.mode):
            assert str(there.readlink()) == file.linkto
            continue
        assert there.stat().st_mode == file.mode, file.name
        if stat.S_ISREG(file.mode):
            assert sha256_file(there) == file.digest, file.name
    assert not (tmp_path / "commit" / TMPFILES).exists()


def test_two_scriptlets_run_without_complaints(
    installed: tuple[Root, dict[str, str]],
) -> None:
    """%post enables the units; the users are created before it."""
    _, said = installed
    assert list(said) == ["nix-aurora.post", "nix-aurora.posttrans"]
    assert said["nix-aurora.posttrans"] == ""
    lines = said["nix-aurora.post"].splitlines()
    assert lines
    for line in lines:
        assert _LINK.fullmatch(line)


def test_tree_matches_the_package(installed: tuple[Root, dict[str, str]]) -> None:
    """Only the times differ, since ostree sets them to 0."""
    root, _ = installed
    assert root.scratch.run("rpm --verify --nomtime nix-aurora").output == ""
    found = root.scratch.run("rpm --verify nix-aurora", check=False).stdout.splitlines()
    assert {line.split()[0] for line in found if line} == {".......T."}
    tmpfiles = root.scratch.read("/usr/lib/tmpfiles.d/rpm-ostree-autovar.conf")
    assert "nix" not in tmpfiles


def test_users_and_units_are_in_place(installed: tuple[Root, dict[str, str]]) -> None:
    root, _ = installed
    ids = root.scratch.run(_IDS).stdout.splitlines()
    assert [line.split(":")[2] for line in ids] == [
        str(number) for number in (IDS[0], IDS[-1], GROUP_ID)
    ]
    assert len(ids[2].split(":")[3].split(",")) == 32
    preset = root.scratch.read("/usr/lib/systemd/system-preset/80-nix-aurora.preset")
    links = root.scratch.run(_ENABLED).stdout
    for unit in re.findall(r"^enable (\S+)$", preset, re.MULTILINE):
        assert f"{unit} -> /usr/lib/systemd/system/{unit}\n" in links
    assert root.scratch.run("[ ! -e /nix ] && [ ! -e /var/lib/nix ]").output == ""


def test_package_creates_its_users_if_rpm_does_not(
    installed: tuple[Root, dict[str, str]], built: Built
) -> None:
    """Do not let rpm create users, as before Fedora 42; the ids are the same."""
    ids = installed[0].scratch.run(_IDS).stdout
    with base() as root:
        said = layered(root, built.rpms[_ARCH], sysusers=False)
        lines = said["nix-aurora.post"].splitlines()
        made = [line for line in lines if _USER.fullmatch(line)]
        assert len(made) == 33
        assert all(_LINK.fullmatch(line) for line in lines if line not in made)
        assert root.scratch.run(_IDS).stdout == ids


def test_users_are_below_usr_if_the_host_has_them_there(built: Built, tmp_path: Path) -> None:
    """With altfiles, /etc/group lacks nixbld, so a Nix with its own C library does not see it."""
    tree = atomic_tree().changed(tmp_path / "altfiles", ALTFILES)
    with base(tree) as root:
        layered(root, built.rpms[_ARCH])
        count = "grep -c ^nixbld /etc/passwd /etc/group /usr/lib/passwd /usr/lib/group || :"
        assert root.scratch.run(count).stdout.splitlines() == [
            *("/etc/passwd:0", "/etc/group:0", "/usr/lib/passwd:32", "/usr/lib/group:1")
        ]


def test_upgrade_starts_from_the_same_base(
    installed: tuple[Root, dict[str, str]], older: Built
) -> None:
    """The trees differ only in the package: no %preun or %postun runs, and nothing is left over."""
    newer_root, said = installed
    with base() as older_root:
        assert list(layered(older_root, older.rpms[_ARCH])) == list(said)
        for script in (_IDS, _ENABLED, "ls -A / /etc /usr/lib /var"):
            assert older_root.scratch.run(script).stdout == newer_root.scratch.run(script).stdout
        shown = [
            root.scratch.run(
                "rpm --query nix-aurora; sed -n s/^nix=//p /usr/bin/nix"
            ).stdout.split()
            for root in (older_root, newer_root)
        ]
    assert [len(words) for words in shown] == [2, 2]
    assert shown[0][0] != shown[1][0]
    assert shown[0][1] != shown[1][1]


def test_deployment_of_the_commit_has_everything(built: Built) -> None:
    """Let ostree check a real commit, and check it out as hard links."""
    rpm = built.rpms[_ARCH]
    with base() as root:
        layered(root, rpm)
        assert re.fullmatch("[0-9a-f]{64}", commit(root))
        deployment = root.work / Path(DEPLOYMENT).name
        assert not {path.name for path in deployment.iterdir()} - {
            *("bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "ostree"),
            *("proc", "root", "run", "sbin", "srv", "sys", "sysroot", "tmp", "usr", "var"),
        }
        for file in read_package(rpm).files:
            there = deployment / file.name.lstrip("/")
            if stat.S_ISREG(file.mode):
                assert sha256_file(there) == file.digest, file.name
                assert there.stat().st_mtime == 0, file.name
                assert there.stat().st_mode == file.mode, file.name
        verified = root.scratch.run(f"chroot {DEPLOYMENT} rpm --verify --nomtime nix-aurora")
        assert verified.output == ""
        enabled = deployment / "etc/systemd/system/sockets.target.wants/nix-daemon.socket"
        assert str(enabled.readlink()) == "/usr/lib/systemd/system/nix-daemon.socket"
        assert "nixbld32:" in (deployment / "etc/passwd").read_text()
        assert (deployment / "usr/lib/sysusers.d/nix-aurora.conf").exists()
        assert (deployment / "usr/lib/tmpfiles.d/nix-aurora.conf").exists()
