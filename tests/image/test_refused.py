"""What dnf5 does not install: whatever is not as its maker has signed it."""

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
    """Give the signed repository to change, with a .repo file for where dnf5 will see it."""
    shutil.copytree(repository, tmp_path / "repository")
    definition = tmp_path / "repository" / REPO_FILE
    url = f"https://{OWN}/nix-aurora"
    definition.write_text(definition.read_text().replace(url, f"file://{_PLACE}"))
    return tmp_path / "repository"


@pytest.fixture(scope="module")
def other(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the same repository, signed by somebody else."""
    directory = tmp_path_factory.mktemp("other") / "repository"
    with new_keyring() as keyring:
        words = ("--out", package().parent, "--key", keyring.fingerprint)
        done = build_py("repo", directory, *words, env=keyring.environment)
    assert done.returncode == 0, done.stderr
    return directory


def install(base: Tree, copy: Path) -> Result:
    """Have dnf5 install the package from a repository, and tell whether it is there in the end."""
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
    """Make new metadata for the package as it is now; the signature is that of the former."""
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


# What is done to a repository, and what dnf5 says to it. A change is told of the repository, of
# somebody else's, and of the package as it was before it was signed.
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
    """As COPR does: the package's own signature is what is left."""
    definition = copy / REPO_FILE
    definition.write_text(definition.read_text().replace("repo_gpgcheck=1", "repo_gpgcheck=0"))


def test_what_is_as_it_should_be(base: Tree, copy: Path) -> None:
    assert install(base, copy).returncode == 0
    leave_metadata_unsigned(copy)
    describe_anew(copy)
    assert install(base, copy).returncode == 0


@pytest.mark.parametrize("name", _METADATA)
def test_a_repository_whose_metadata_is_signed(
    name: str, base: Tree, copy: Path, other: Path, package: PackageMaker
) -> None:
    change, message = _METADATA[name]
    change(copy, other, package())
    done = install(base, copy)
    assert message in done.stderr
    assert done.returncode != 0


@pytest.mark.parametrize("name", _PACKAGES)
def test_a_repository_whose_metadata_is_not_signed(
    name: str, base: Tree, copy: Path, other: Path, package: PackageMaker
) -> None:
    leave_metadata_unsigned(copy)
    change, message = _PACKAGES[name]
    change(copy, other, package())
    describe_anew(copy)
    done = install(base, copy)
    assert message in done.stderr
    assert done.returncode != 0


def test_no_image_comes_of_it(podman: Podman, site: Path, copy: Path) -> None:
    """The Containerfile's way, from a COPR project whose package has been changed."""
    change_and_describe(copy)
    add_copr_project(site, copy, "other/nix-aurora")
    words = "--file examples/Containerfile.repository --build-arg SOURCE=other/nix-aurora"
    line = from_base(f"podman build --tag refused {words} examples")
    done = podman.shell(line, cwd=TOP, check=False)
    assert "has failed: Problem occurred when opening the package" in done.stderr
    assert done.returncode != 0
    exists = podman.shell("podman image exists refused", cwd=TOP, check=False)
    assert exists.returncode == 1


def test_a_package_from_nowhere(podman: Podman) -> None:
    words = "--file examples/Containerfile.repository"
    line = from_base(f"podman build --tag nowhere {words} examples")
    done = podman.shell(line, cwd=TOP, check=False)
    assert "SOURCE: expected OWNER/PROJECT at COPR, or the URL of a .repo file" in done.stderr
    assert done.returncode != 0
