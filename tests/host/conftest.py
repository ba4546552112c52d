"""Trees and hosts for the tests of this tier."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

from tests.harness.cache import cached
from tests.harness.nspawn import Host
from tests.harness.tree import Tree, atomic_tree, layer_rpms
from tests.host.adopting import pack_root
from tests.packages import PackageMaker, fit_for_sample


class HostMaker(Protocol):
    """Create a host that is off, and is closed when the test ends."""

    def __call__(self, tree: Tree, *, var_size: int | None = None) -> Host:
        """Return a new host with its own state."""


class NixTreeMaker(Protocol):
    """Create trees that have the real RPM of a sample closure layered onto them."""

    def __call__(
        self,
        suite: str = "forky",
        *,
        nix_dir: bool = True,
        sysusers: bool = True,
        layout: str = "auto",
    ) -> Tree:
        """Return a tree with the RPM and settings for the sample; a run creates it once.

        ``nix_dir`` and ``sysusers`` are those of atomic_tree() and layer_rpms(), ``layout`` is the
        setting in /etc/nix-aurora.conf.
        """


@pytest.fixture(scope="session")
def make_nix_tree(package: PackageMaker, shared: Path) -> NixTreeMaker:
    """Return a maker of trees with the package; all processes of a run share them."""

    @cache
    def make(suite: str, nix_dir: bool, sysusers: bool, layout: str) -> Tree:
        base = atomic_tree(nix_dir=nix_dir)

        def add(place: Path) -> None:
            layered = layer_rpms(base, [package(suite)], place / "rpms", sysusers=sysusers)
            ask = f"echo STORE_LAYOUT={layout} >>/etc/nix-aurora.conf"
            fit_for_sample(layered, place / "settings", more=ask if layout != "auto" else "")

        key = f"{suite}-{layout}{'-nix' * nix_dir}{'-sysusers' * sysusers}"
        place = cached("nix-trees", key, add, top=shared)
        return Tree((place / "settings", place / "rpms", *base.layers))

    return lambda suite="forky", *, nix_dir=True, sysusers=True, layout="auto": make(
        suite, nix_dir, sysusers, layout
    )


@pytest.fixture(scope="session")
def tree() -> Tree:
    """Return a stock composefs host, which has no /nix and cannot create one."""
    return atomic_tree()


@pytest.fixture(scope="session")
def tree_with_nix() -> Tree:
    """Return a host whose image has an empty /nix."""
    return atomic_tree(nix_dir=True)


@pytest.fixture(scope="session")
def nix_tree(make_nix_tree: NixTreeMaker) -> Tree:
    """Return a host whose image has an empty /nix and the package, with forky's Nix."""
    return make_nix_tree("forky")


@pytest.fixture(scope="session")
def former_root(nix_tree: Tree, shared: Path) -> Path:
    """Return the directory that pack_root() has filled; all processes share it."""
    return cached("former-roots", "forky", lambda place: pack_root(nix_tree, place), top=shared)


@pytest.fixture(scope="module")
def nix_host(nix_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host that has booted with the package, and has imported it; a module shares it."""
    with Host(nix_tree, tmp_path_factory.mktemp("nix") / "host") as host:
        yield host


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[HostMaker]:
    """Yield a maker of hosts that last as long as the test."""
    with ExitStack() as stack:

        def make(tree: Tree, *, var_size: int | None = None) -> Host:
            names = sum(1 for _ in tmp_path.glob("host-*"))
            host = Host(tree, tmp_path / f"host-{names}", var_size=var_size)
            stack.callback(host.close)
            host.open()
            return host

        yield make
