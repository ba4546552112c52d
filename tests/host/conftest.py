"""Trees and hosts for the tests of this tier."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree, atomic_tree


class HostMaker(Protocol):
    """Makes a host that is off, and is closed when the test ends."""

    def __call__(self, tree: Tree, *, var_size: int | None = None) -> Host:
        """Give a new host with a state of its own."""


@pytest.fixture(scope="session")
def tree() -> Tree:
    """Give a stock composefs host: no /nix, and none can be made."""
    return atomic_tree()


@pytest.fixture(scope="session")
def tree_with_nix() -> Tree:
    """Give a host whose image has an empty /nix."""
    return atomic_tree(nix_dir=True)


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[HostMaker]:
    """Give a maker of hosts that last as long as the test."""
    with ExitStack() as stack:

        def make(tree: Tree, *, var_size: int | None = None) -> Host:
            names = sum(1 for _ in tmp_path.glob("host-*"))
            host = Host(tree, tmp_path / f"host-{names}", var_size=var_size)
            stack.callback(host.close)
            host.open()
            return host

        yield make
