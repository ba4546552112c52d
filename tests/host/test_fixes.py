"""Test faults of the system: doctor finds each, and its fix, run literally, cures it."""

from collections.abc import Iterator

import pytest

from tests.harness.tree import Tree
from tests.host.doctor import Hosts, check
from tests.host.scenarios import SCENARIOS_OF_SYSTEM, Scenario, of_each_kind


@pytest.fixture(scope="module")
def hosts(nix_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    hosts = Hosts(nix_tree, tmp_path_factory.mktemp("fixes"))
    yield hosts
    hosts.close()


@pytest.mark.parametrize(
    "scenario", of_each_kind(SCENARIOS_OF_SYSTEM), ids=lambda scenario: scenario.name
)
def test_fault_is_found_and_its_fix_cures_it(hosts: Hosts, scenario: Scenario) -> None:
    check(hosts, scenario)
