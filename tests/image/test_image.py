"""Test the example Containerfiles, built by podman and dnf5 with the commands of the pages."""

import re
import stat
from pathlib import Path

import pytest

from nix_aurora.publish.image import ARCHIVE
from tests.build_users import GROUP_ID, IDS, NAMES
from tests.harness.nspawn import Host
from tests.harness.podman import Podman
from tests.harness.scratch import Scratch
from tests.harness.tree import Tree
from tests.image.conftest import BASE, SOURCES, ImageMaker, from_base
from tests.image.test_lint import lint
from tests.packages import fit_for_sample
from tests.rpm.builder import TOP
from tests.units import UNITS
from tests.whole import add_program, check_whole

each_source = pytest.mark.parametrize("source", SOURCES)

# This is the place of a repository's file in dnf5, and of its record that the repository is
# disabled. The image of the packages contains the policy module; a repository installs it only if
# the base has a policy.
_OF_THE_SOURCE = {
    "copr": {"/etc/yum.repos.d/_copr:copr.fedorainfracloud.org:you:nix-aurora.repo"},
    "own": {
        *("/etc/yum.repos.d/nix-aurora.repo", "/etc/dnf/repos.override.d"),
        "/etc/dnf/repos.override.d/99-config_manager.repo",
    },
    "image": {
        *("/usr/share/selinux", "/usr/share/selinux/packages"),
        "/usr/share/selinux/packages/targeted",
        "/usr/share/selinux/packages/targeted/nix-aurora.cil",
    },
}
# These are dnf5's record of installed packages, the copies that systemd-sysusers makes, files that
# podman and systemd's own tmpfiles.d know, and directories of Fedora's package filesystem.
_ADDED = re.compile(
    r"/usr/lib/sysimage/libdnf5(/.*)?|/etc/(passwd|group|shadow|gshadow)-"
    r"|/run/systemd(/resolve(/stub-resolv\.conf)?)?|/var/(cache|lib|log)|/usr/share/man/man[158]"
    r"|/usr/lib/nix-aurora/nix_aurora_host/(.*/)?__pycache__(/[^/]+\.pyc)?"
)
_CHANGED = {
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/gshadow",
    "/usr/share/rpm/rpmdb.sqlite",
}
_WANTS = {
    "/etc/systemd/system/local-fs.target.wants",
    "/etc/systemd/system/local-fs.target.wants/nix-layout.service",
    "/etc/systemd/system/local-fs.target.wants/nix.mount",
    "/etc/systemd/system/local-fs.target.wants/run-nix-store.mount",
    "/etc/systemd/system/multi-user.target.wants/nix-setup.service",
    "/etc/systemd/system/sockets.target.wants/nix-daemon.socket",
}
# ostree changes an image in this way: /var is empty, and all times are equal.
_DEPLOY = "find /var -mindepth 1 -delete; touch -d @0 /usr"


def entries(root: Path) -> dict[str, tuple[object, ...]]:
    """Return the content of a root directory by path: mode, owners, size and link."""
    found: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        size = None if stat.S_ISDIR(status.st_mode) else status.st_size
        link = path.readlink() if path.is_symlink() else None
        name = f"/{path.relative_to(root)}"
        found[name] = (status.st_mode, status.st_uid, status.st_gid, size, link)
    return found


def test_base_image_passes_the_lint(podman: Podman) -> None:
    assert lint(podman.root(BASE)) == {}


@each_source
def test_image_adds_only_the_package_and_its_requirements(
    source: str, image: ImageMaker, podman: Podman
) -> None:
    """Check that dnf leaves nothing else behind."""
    before, after = entries(podman.root(BASE)), entries(image(source))
    with Scratch(image(source)) as scratch:
        owned = set(scratch.run("rpm --query --list nix-aurora").stdout.splitlines())
        assert scratch.run("rpm --verify nix-aurora").output == ""
    assert len(owned) > 50
    assert owned <= after.keys()
    more = {path for path in after.keys() - before.keys() - owned if not _ADDED.fullmatch(path)}
    assert more == {"/nix", *_WANTS, *_OF_THE_SOURCE[source]}
    assert before.keys() <= after.keys()
    assert {path for path in before if before[path] != after[path]} == _CHANGED


@each_source
def test_bootc_lint_finds_nothing(source: str, image: ImageMaker) -> None:
    assert lint(image(source)) == {}


@each_source
def test_nix_is_an_empty_directory(source: str, image: ImageMaker) -> None:
    nix = image(source) / "nix"
    assert stat.filemode(nix.lstat().st_mode) == "drwxr-xr-x"
    assert list(nix.iterdir()) == []


@each_source
def test_users_have_their_own_ids(source: str, image: ImageMaker) -> None:
    etc = image(source) / "etc"
    users = [line.split(":") for line in (etc / "passwd").read_text().splitlines()]
    found = {(user[0], *user[2:4], *user[5:]) for user in users if user[0].startswith("nixbld")}
    assert found == {
        (name, str(number), str(GROUP_ID), "/var/empty", "/usr/sbin/nologin")
        for name, number in zip(NAMES, IDS, strict=True)
    }
    groups = dict(line.split(":", 1) for line in (etc / "group").read_text().splitlines())
    _, number, members = groups["nixbld"].split(":")
    assert (number, set(members.split(","))) == (str(GROUP_ID), {user[0] for user in found})


@each_source
def test_units_are_enabled_by_the_preset(source: str, image: ImageMaker) -> None:
    with Scratch(image(source)) as scratch:
        found = scratch.run(f"systemctl is-enabled {' '.join(UNITS)} || :").stdout.split()
    states = dict(zip(UNITS, found, strict=True))
    assert states == {
        **dict.fromkeys(UNITS, "enabled"),
        # The package links the timer into timers.target, so that upgraded hosts have it, too.
        **dict.fromkeys(
            ("nix-daemon.service", "nix-database-backup.timer", "nix-database-backup.service"),
            "static",
        ),
        # Garbage is collected only if an administrator enables it.
        "nix-gc.timer": "disabled",
        **dict.fromkeys(("nix-gc.service", "nix-gc-full.timer", "nix-gc-full.service"), "static"),
    }


@each_source
def test_no_repository_of_ours_stays_enabled(source: str, image: ImageMaker) -> None:
    with Scratch(image(source)) as scratch:
        assert scratch.run("dnf5 repo list --enabled").stdout == ""
        known = scratch.run("dnf5 repo list --all").stdout
    assert ("nix-aurora" in known) == (source != "image")


def test_failed_lint_ends_the_build(podman: Podman, project: Path, tmp_path: Path) -> None:
    """Let the lint fail because of dnf's leftovers, which its message names."""
    text = (TOP / "examples/Containerfile").read_text()
    left = re.sub(r"^ *rm -rf /var/cache/.*$", "    true", text, flags=re.MULTILINE)
    assert left != text
    (tmp_path / "Containerfile").write_text(left)
    packages = f"PACKAGES=oci-archive:{project / 'out' / ARCHIVE}"
    line = from_base(f"podman build --tag left --build-arg {packages} .")
    done = podman.shell(line, cwd=tmp_path, check=False)
    assert done.returncode != 0
    found = set(re.findall(r"^Lint warning: ([a-z-]+): .*: (\S+)$", done.stdout, re.MULTILINE))
    assert found >= {
        *(("var-tmpfiles", "/var/cache/libdnf5"), ("var-log", "/var/log/dnf5.log")),
        ("nonempty-run-tmp", "/run/dnf"),
    }
    assert podman.shell("podman image exists left", cwd=tmp_path, check=False).returncode == 1


def test_host_of_the_image_works(image: ImageMaker, tmp_path: Path) -> None:
    """Boot the image's host, and let its users build and install."""
    deployed = Tree((image("image"),)).changed(tmp_path / "deployed", _DEPLOY)
    with Host(fit_for_sample(deployed, tmp_path / "settings"), tmp_path / "host") as host:
        assert host.read("/run/nix-aurora/layout") == "mount\n"
        assert host.run("rpm --query nix-aurora").stdout.startswith("nix-aurora-")
        add_program(host)
        check_whole(host)
