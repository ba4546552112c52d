"""The base image, the network of builds, and the images that the README's commands build."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import trustme

from tests.harness.podman import Podman
from tests.harness.tree import Tree
from tests.image.base import base_tree
from tests.image.site import HUB, OWN, RESULTS, add_copr_project
from tests.keyring import Keyring, new_keyring
from tests.packages import PackageMaker
from tests.readme import every_command
from tests.rpm.builder import TOP, build_py

BASE = "localhost/base"
TAG = "aurora-nix"  # the tag in the README
# The package has these sources: an image of the packages, a COPR project, a repository of one's
# own.
_COMMANDS = {
    "image" if "PACKAGES=" in line else "own" if "SOURCE=https:" in line else "copr": line
    for page in ("README.md", "docs/building.md")
    for line in every_command(page)
    if line.startswith("podman build ")
}
SOURCES = ("image", "copr", "own")

ImageMaker = Callable[[str], Path]


@pytest.fixture(scope="session")
def keyring() -> Iterator[Keyring]:
    """Yield the key that signs the repository."""
    with new_keyring() as keyring:
        yield keyring


@pytest.fixture(scope="session")
def repository(
    package: PackageMaker, keyring: Keyring, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a signed repository with the real package, like the one of ``make repo``."""
    directory = tmp_path_factory.mktemp("repository") / "repo"
    words = ("--out", package().parent, "--key", keyring.fingerprint)
    url = ("--baseurl", f"https://{OWN}/nix-aurora")
    done = build_py("repo", directory, *words, *url, env=keyring.environment)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return the authority that signs the certificate of all hosts that builds reach."""
    return trustme.CA()


@pytest.fixture(scope="session")
def base(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Return the tree of the base image."""
    place = tmp_path_factory.mktemp("base")
    authority.cert_pem.write_to_path(str(place / "authority.pem"))
    return base_tree(place / "layer", place / "authority.pem")


@pytest.fixture(scope="session")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that all hosts serve; see site.py."""
    site = tmp_path_factory.mktemp("site")
    add_copr_project(site, repository)
    (site / "nix-aurora").symlink_to(repository)
    return site


@pytest.fixture(scope="session")
def podman(
    base: Tree, site: Path, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Podman]:
    """Yield podman with the base image and a COPR project, and no other network."""
    place = tmp_path_factory.mktemp("podman")
    hosts = (HUB, RESULTS, OWN)
    authority.issue_cert(*hosts).private_key_and_cert_chain_pem.write_to_path(
        str(place / "certificate.pem")
    )
    with Podman(place / "place", hosts) as podman:
        podman.serve(site, place / "certificate.pem")
        podman.add_image(base, BASE)
        yield podman


@pytest.fixture(scope="session")
def project(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory like the project's, with the packages and their image in ``out``."""
    project = tmp_path_factory.mktemp("project")
    (project / "examples").symlink_to(TOP / "examples")
    (project / "out").mkdir()
    for path in package().parent.glob("*.rpm"):
        shutil.copy(path, project / "out")
    done = build_py("oci", "--out", project / "out")
    assert done.returncode == 0, done.stderr
    return project


@pytest.fixture(scope="session")
def image(podman: Podman, project: Path) -> ImageMaker:
    """Return a maker of images, by one of SOURCES; it returns the root directory.

    Each image is built by the README's command, with another base.
    """

    @cache
    def make(source: str) -> Path:
        command = _COMMANDS[source]
        assert f" --tag {TAG} " in command
        podman.shell(from_base(command), cwd=project)
        return podman.root(TAG)

    return make


def from_base(command: str) -> str:
    """Return a command of the README with the test's base image."""
    return command.replace("podman build ", f"podman build --build-arg BASE={BASE} ", 1)
