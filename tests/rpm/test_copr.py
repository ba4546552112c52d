"""Test COPR's make_srpm method, called as COPR's builder does, and the resulting SRPM."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nix_aurora.run import run
from tests.closures import SCRIPT, for_aarch64, make_tarball
from tests.harness.roots import debian_root
from tests.harness.scratch import Scratch
from tests.lint.shell import project_files
from tests.rpm.builder import TOP, query


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone of the project, with nothing installed or built in it."""
    top = tmp_path_factory.mktemp("clone") / "nix-aurora"
    for name in project_files():
        target = top / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP / name, target, follow_symlinks=False)
    return top


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return flags with a replacement for the release, since a host may lack the internet."""
    top = tmp_path_factory.mktemp("tarballs")
    x86_64 = make_tarball(top / "nix-3.22.1-x86_64-linux.tar.xz")
    aarch64 = make_tarball(top / "nix-3.22.1-aarch64-linux.tar.xz", mutate=for_aarch64)
    return f"--source {x86_64} --source {aarch64} --level 1"


def make(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call make as rpmbuild/copr_rpmbuild/providers/scm.py in COPR's sources does."""
    script = 'cd "$1" && shift && make -f "$PWD/.copr/Makefile" "$@"'
    return subprocess.run(
        ["sh", "-c", script, "sh", clone, *words],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
    )


@pytest.fixture(scope="module")
def srpm(clone: Path, flags: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outdir = tmp_path_factory.mktemp("results")
    done = make(clone, "srpm", f"outdir={outdir}", f"spec={clone}/", f"FLAGS={flags}")
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = outdir.iterdir()
    return result


def test_one_source_package_for_both_architectures(srpm: Path) -> None:
    assert srpm.name == "nix-aurora-3.22.1-1.src.rpm"
    assert query(srpm, "[%{EXCLUSIVEARCH} ]").split() == ["aarch64", "x86_64"]


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_srpm_builds_in_a_clean_root_without_network(arch: str, srpm: Path) -> None:
    with Scratch(debian_root()) as scratch:
        scratch.copy_in(srpm, "/run/nix-aurora.src.rpm")
        words = f"--define '_topdir /run/built' --target {arch}-linux"
        scratch.run(f"rpmbuild {words} --rebuild /run/nix-aurora.src.rpm")
        packages = f"/run/built/RPMS/{arch}/nix-aurora-3.*.rpm"
        listing = scratch.run(f"rpm -qpl --nosignature {packages}").stdout
    assert f"/usr/lib/nix-aurora/store/{SCRIPT}" in listing.splitlines()


def test_packit_finds_the_spec_and_its_sources(clone: Path, srpm: Path, flags: str) -> None:
    """Look for the spec and its sources in the same directory."""
    done = make(clone, "packit", f"FLAGS={flags}")
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name for path in (clone / "out/packit").iterdir()}
    listed = run(["rpm", "-qpl", "--nosignature", srpm]).split()
    assert names == set(listed)


def test_missing_outdir_is_reported(clone: Path) -> None:
    done = make(clone, "srpm")
    assert done.returncode == 2
    assert "outdir: expected a directory for the SRPM" in done.stderr


def test_missing_packages_are_installed_by_dnf(clone: Path, tmp_path: Path) -> None:
    """Hide apt and rpmbuild in a separate mount namespace; dnf then installs them."""
    dnf = tmp_path / "dnf"
    dnf.write_text('#!/bin/sh\necho "dnf $*" >&2\nexit 1\n')
    dnf.chmod(0o755)
    for name in ("cat", "dirname", "sort"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    script = 'mount --bind /dev/null /usr/bin/rpmbuild && PATH=$1 exec "$2" build'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", tmp_path, clone / "tools/setup"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.splitlines() == [
        "setup: installing rpm-build",
        "dnf install --assumeyes --setopt=install_weak_deps=False rpm-build",
    ]
