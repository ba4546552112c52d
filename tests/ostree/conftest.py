"""Disks and machines for the tests of this tier."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

from tests.harness.ostree import bootable_tree, copy_disk, deploy, make_disk
from tests.harness.qemu import Machine
from tests.harness.tree import Tree, layer_rpms
from tests.packages import PackageMaker, fit_for_sample


class DiskMaker(Protocol):
    """Makes disks with all branches in their repository."""

    def __call__(self, branch: str) -> Path:
        """Give the image that boots ``branch`` and never has; made once in a session."""


class MachineMaker(Protocol):
    """Makes machines that are off, and whose disks are gone when the test ends."""

    def __call__(self, branch: str, *, disks: Sequence[Path] = ()) -> Machine:
        """Give a new machine that is to boot ``branch``; ``disks`` are Machine's."""


@pytest.fixture(scope="session")
def branches(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Tree]:
    """Give the trees of the commits that every disk has.

    ``base`` is without the package. The others have it: ``nix-forky`` and ``nix-trixie`` of the
    suite's Nix, layered; ``nix-dir`` of forky's, with a /nix in the image.
    """
    place = tmp_path_factory.mktemp("branches")

    def with_nix(name: str, base: Tree, suite: str = "forky") -> Tree:
        layered = layer_rpms(base, [package(suite)], place / name / "rpms")
        return fit_for_sample(layered, place / name / "settings")

    base = bootable_tree()
    return {
        "base": base,
        "nix-forky": with_nix("nix-forky", base),
        "nix-trixie": with_nix("nix-trixie", base, "trixie"),
        "nix-dir": with_nix("nix-dir", bootable_tree(nix_dir=True)),
    }


@pytest.fixture(scope="session")
def disk(branches: Mapping[str, Tree], tmp_path_factory: pytest.TempPathFactory) -> DiskMaker:
    """Give a maker of disks that no machine has booted; machines copy them."""
    place = tmp_path_factory.mktemp("disks")
    commits = place / "commits.img"
    make_disk(branches, commits)

    @cache
    def make(branch: str) -> Path:
        deployed = place / f"{branch}.img"
        copy_disk(commits, deployed)
        deploy(branches[branch], branch, deployed)
        return deployed

    return make


@pytest.fixture(scope="module")
def nix_machine(disk: DiskMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give a machine that has booted with the package layered; a module shares it."""
    with Machine(disk("nix-forky"), tmp_path_factory.mktemp("machine")) as machine:
        yield machine
    machine.disk.unlink()


@pytest.fixture
def make_machine(disk: DiskMaker, tmp_path: Path) -> Iterator[MachineMaker]:
    """Give a maker of machines that last as long as the test."""
    with ExitStack() as stack:

        def make(branch: str, *, disks: Sequence[Path] = ()) -> Machine:
            number = sum(1 for _ in tmp_path.glob("machine-*"))
            machine = Machine(disk(branch), tmp_path / f"machine-{number}", disks=disks)
            stack.callback(machine.disk.unlink, missing_ok=True)
            stack.callback(machine.close)
            machine.open()
            return machine

        yield make
