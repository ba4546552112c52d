"""Test that dnf5 refuses everything that differs from what its author signed."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nix_aurora.publish.repository import REPO_FILE
from nix_aurora.run import run
from tests.harness.commands import Result
from tests.harness.podman import Podman
from tests.harness.scratch import Scratch
from tests.harness.tree import Tree
from tests.image.conftest import from_base
from tests.image.site import OWN, add_copr_project
from tests.keyring import new_keyring
from tests.packages import PackageMaker
from tests.rpm.builder import TOP, build_py

_PLACE = "/run/repository"
_INSTALL = f"""
cp {_PLACE}/{REPO_FILE} /etc/yum.repos.d/
dnf5 -y install nix-aurora
"""
_REPOMD = "repodata/repomd.xml"
_SIGNATURE = f"{_REPOMD}.asc"

Change = Callable[[Path, Path, Path], object]


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """Return a copy of the signed repository, with a .repo file for its future place in dnf5."""
    shutil.copytree(repository, tmp_path / "repository")
    definition = tmp_path / "repository" / REPO_FILE
    url = f"https://{OWN}/nix-aurora"
    definition.write_text(definition.read_text().replace(url, f"file://{_PLACE}"))
    return tmp_path / "repository"


@pytest.fixture(scope="module")
def other(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same repository, signed by somebody else."""
    directory = tmp_path_factory.mktemp("other") / "repository"
    with new_keyring() as keyring:
        words = ("--out", package().parent, "--key", keyring.fingerprint)
        done = build_py("repo", directory, *words, env=keyring.environment)
    assert done.returncode == 0, done.stderr
    return directory


def install(base: Tree, copy: Path) -> Result:
    """Let dnf5 install the package from a repository, and return whether it is installed."""
    with Scratch(base.layers, binds={copy: _PLACE}) as scratch:
        done = scratch.run(_INSTALL, check=False)
        query = scratch.run("rpm --query nix-aurora && ls /usr/bin/nix", check=False)
    assert query.returncode == bool(done.returncode)
    return done


def rpm(directory: Path) -> Path:
    (path,) = directory.glob("nix-aurora-[0-9]*.x86_64.rpm")
    return path


def flip(path: Path) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def describe_anew(copy: Path) -> None:
    """Create new metadata for the changed package; the signature stays that of the original."""
    signature = (copy / _SIGNATURE).read_bytes()
    program = Path(sys.executable).with_name("createrepo_c")
    run([program, "--quiet", "--no-database", "--general-compress-type", "gz", copy])
    (copy / _SIGNATURE).write_bytes(signature)


def primary(copy: Path) -> Path:
    (path,) = copy.glob("repodata/*-primary.xml.gz")
    return path


def replace_metadata(copy: Path, other: Path) -> None:
    shutil.rmtree(copy / "repodata")
    shutil.copytree(other / "repodata", copy / "repodata")


def change_and_describe(copy: Path) -> None:
    flip(rpm(copy))
    describe_anew(copy)


# Each entry changes a repository, and has dnf5's message. A change gets the repository, one that
# another key signed, and the package before it was signed.
_METADATA: dict[str, tuple[Change, str]] = {
    "a package changed": (
        lambda copy, *_: flip(rpm(copy)),
        "Downloading successful, but checksum doesn't match",
    ),
    "a package changed and described anew": (
        lambda copy, *_: change_and_describe(copy),
        "repomd.xml GPG signature verification error: Bad PGP signature",
    ),
    "the index changed": (
        lambda copy, *_: flip(copy / _REPOMD),
        "repomd.xml GPG signature verification error: Bad PGP signature",
    ),
    "the list of packages changed": (
        lambda copy, *_: flip(primary(copy)),
        "Downloading successful, but checksum doesn't match",
    ),
    "the index's signature missing": (
        lambda copy, *_: (copy / _SIGNATURE).unlink(),
        "GPG verification is enabled, but GPG signature is not available",
    ),
    "somebody else's metadata": (
        lambda copy, other, _: replace_metadata(copy, other),
        "repomd.xml GPG signature verification error: Signing key not found",
    ),
}
_PACKAGES: dict[str, tuple[Change, str]] = {
    "changed": (
        lambda copy, *_: flip(rpm(copy)),
        "has failed: Problem occurred when opening the package",
    ),
    "not signed": (
        lambda copy, _, package: shutil.copy(package, rpm(copy)),
        "has failed: The package is not signed",
    ),
    "somebody else's": (
        lambda copy, other, _: shutil.copy(rpm(other), rpm(copy)),
        "has failed: Import of the key didn't help, wrong key?",
    ),
}


def leave_metadata_unsigned(copy: Path) -> None:
    """Leave the metadata unsigned, as COPR does: only the package is signed."""
    definition = copy / REPO_FILE
    definition.write_text(definition.read_text().replace("repo_gpgcheck=1", "repo_gpgcheck=0"))


def test_intact_repository_is_accepted(base: Tree, copy: Path) -> None:
    assert install(base, copy).returncode == 0
    leave_metadata_unsigned(copy)
    describe_anew(copy)
    assert install(base, copy).returncode == 0


@pytest.mark.parametrize("name", _METADATA)
def test_changed_repository_with_signed_metadata_is_refused(
    name: str, base: Tree, copy: Path, other: Path, package: PackageMaker
) -> None:
    change, message = _METADATA[name]
    change(copy, other, package())
    done = install(base, copy)
    assert message in done.stderr
    assert done.returncode != 0


@pytest.mark.parametrize("name", _PACKAGES)
def test_changed_package_with_unsigned_metadata_is_refused(
    name: str, base: Tree, copy: Path, other: Path, package: PackageMaker
) -> None:
    leave_metadata_unsigned(copy)
    change, message = _PACKAGES[name]
    change(copy, other, package())
    describe_anew(copy)
    done = install(base, copy)
    assert message in done.stderr
    assert done.returncode != 0


def test_no_image_is_built_from_a_changed_package(podman: Podman, site: Path, copy: Path) -> None:
    """Use the Containerfile with a COPR project whose package was changed."""
    change_and_describe(copy)
    add_copr_project(site, copy, "other/nix-aurora")
    words = "--file examples/Containerfile.repository --build-arg SOURCE=other/nix-aurora"
    line = from_base(f"podman build --tag refused {words} examples")
    done = podman.shell(line, cwd=TOP, check=False)
    assert "has failed: Problem occurred when opening the package" in done.stderr
    assert done.returncode != 0
    exists = podman.shell("podman image exists refused", cwd=TOP, check=False)
    assert exists.returncode == 1


def test_containerfile_without_a_source_is_refused(podman: Podman) -> None:
    words = "--file examples/Containerfile.repository"
    line = from_base(f"podman build --tag nowhere {words} examples")
    done = podman.shell(line, cwd=TOP, check=False)
    assert "SOURCE: expected OWNER/PROJECT at COPR, or the URL of a .repo file" in done.stderr
    assert done.returncode != 0
