"""Disks, machines and deployments for the tests of this tier."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

from tests.harness.cache import cached, digest
from tests.harness.deployment import Deployment
from tests.harness.ostree import bootable_tree, copy_disk, deploy, make_disk
from tests.harness.qemu import Machine
from tests.harness.tree import Tree, layer_rpms
from tests.nix_root import ADD_CHOICE, TAKE_BINDS
from tests.ostree.enforcing import enforcing_trees
from tests.packages import PackageMaker, fit_for_sample


class DiskMaker(Protocol):
    """Create disks with all branches in their repository."""

    def __call__(self, branch: str, *, arguments: str = "") -> Path:
        """Return the image that boots ``branch`` for the first time; a session creates it once.

        All its boots have the kernel's ``arguments``.
        """


class MachineMaker(Protocol):
    """Create machines that are off, and whose disks are removed when the test ends."""

    def __call__(self, branch: str, *, disks: Sequence[Path] = (), arguments: str = "") -> Machine:
        """Return a new machine that boots ``branch``, always with the kernel's ``arguments``.

        ``disks`` are Machine's.
        """


class DeploymentMaker(Protocol):
    """Create deployments that are off, and whose disks are removed when the test ends."""

    def __call__(self, branch: str, *, arguments: str = "") -> Deployment:
        """Return a new host that boots ``branch``, always with the kernel's ``arguments``."""


# Each kind of root directory needs these kernel arguments in every boot of a host.
KINDS = {"overlay": "", "binds": TAKE_BINDS}
# A branch's tree has these layers, the topmost first, over those of its base.
_LAYERS = ("settings", "rpms")


@pytest.fixture(scope="session")
def branches(package: PackageMaker, shared: Path) -> Mapping[str, Tree]:
    """Return the trees of the commits that every disk has.

    ``base`` does not have the package. ``nix-forky`` and ``nix-trixie`` have the package with the
    suite's Nix, layered; ``nix-dir`` has forky's, and a /nix in the image.
    """
    base = bootable_tree()

    def with_nix(name: str, base: Tree, suite: str = "forky") -> Tree:
        def make(place: Path) -> None:
            layered = layer_rpms(base, [package(suite)], place / "rpms")
            fit_for_sample(layered, place / "settings", more=ADD_CHOICE)

        place = cached("branches", name, make, top=shared)
        return Tree((*(place / layer for layer in _LAYERS), *base.layers))

    return {
        "base": base,
        "nix-forky": with_nix("nix-forky", base),
        "nix-trixie": with_nix("nix-trixie", base, "trixie"),
        "nix-dir": with_nix("nix-dir", bootable_tree(nix_dir=True)),
    }


@pytest.fixture(scope="session")
def disk(branches: Mapping[str, Tree], shared: Path) -> DiskMaker:
    """Return a maker of disks that no machine has booted; machines copy them."""

    def commit(place: Path) -> None:
        make_disk(branches, place / "disk.img")

    @cache
    def make(branch: str, arguments: str) -> Path:
        def deployed(place: Path) -> None:
            copy_disk(commits, place / "disk.img")
            deploy(branches[branch], branch, place / "disk.img", arguments=arguments)

        commits = cached("disks", "commits", commit, top=shared) / "disk.img"
        name = branch if not arguments else f"{branch}-{digest(arguments)}"
        return cached("disks", name, deployed, top=shared) / "disk.img"

    return lambda branch, *, arguments="": make(branch, arguments)


@pytest.fixture(scope="session")
def enforcing(package: PackageMaker, shared: Path) -> Mapping[str, Tree]:
    """Return the trees of the commits of hosts with SELinux in enforcing mode."""
    return enforcing_trees(package, shared)


@pytest.fixture(scope="module")
def nix_machine(disk: DiskMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Yield a machine that has booted with the package layered; a module shares it."""
    with Machine(disk("nix-forky"), tmp_path_factory.mktemp("machine")) as machine:
        yield machine
    machine.disk.unlink()


@pytest.fixture
def make_machine(disk: DiskMaker, tmp_path: Path) -> Iterator[MachineMaker]:
    """Yield a maker of machines that last as long as the test."""
    with ExitStack() as stack:

        def make(branch: str, *, disks: Sequence[Path] = (), arguments: str = "") -> Machine:
            number = sum(1 for _ in tmp_path.glob("machine-*"))
            place = tmp_path / f"machine-{number}"
            machine = Machine(disk(branch, arguments=arguments), place, disks=disks)
            stack.callback(machine.disk.unlink, missing_ok=True)
            stack.callback(machine.close)
            machine.open()
            return machine

        yield make


@pytest.fixture
def make_deployment(disk: DiskMaker, tmp_path: Path) -> Iterator[DeploymentMaker]:
    """Yield a maker of deployments that last as long as the test."""
    with ExitStack() as stack:

        def make(branch: str, *, arguments: str = "") -> Deployment:
            number = sum(1 for _ in tmp_path.glob("deployment-*"))
            place = tmp_path / f"deployment-{number}"
            host = Deployment(disk(branch, arguments=arguments), place)
            stack.callback(host.disk.unlink, missing_ok=True)
            stack.callback(host.close)
            host.open()
            return host

        yield make
