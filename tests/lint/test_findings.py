"""Test doctor's contract: each error and each warning has a scenario that its fix cures."""

import ast
from collections import Counter
from pathlib import Path

import pytest
from nix_aurora_host.checks.everything import KINDS, MODULES
from nix_aurora_host.finding import Severity

from tests.host.scenarios import ELSEWHERE, SCENARIOS
from tests.lint.shell import TOP

_CHECKS = TOP / "payload/usr/lib/nix-aurora/nix_aurora_host/checks"
_HELPERS = {"__init__", "everything", "fixes", "kind"}  # modules without checks
_NAMES = [kind.name for kind in KINDS]
_FAULTS = sorted(kind.name for kind in KINDS if kind.severity is not Severity.NOTE)
_CURED = {identifier.partition(":")[0] for scenario in SCENARIOS for identifier in scenario.ids}


def _checks() -> list[Path]:
    return [path for path in sorted(_CHECKS.glob("*.py")) if path.stem not in _HELPERS]


@pytest.mark.parametrize("kind", _FAULTS)
def test_each_fault_has_a_scenario(kind: str) -> None:
    assert kind in _CURED | ELSEWHERE.keys()


def test_each_test_elsewhere_exists_and_is_needed() -> None:
    assert ELSEWHERE.keys() <= set(_FAULTS)
    assert not ELSEWHERE.keys() & _CURED
    for kind, place in ELSEWHERE.items():
        path, _, name = place.partition("::")
        parts = (TOP / path).read_text(encoding="utf-8").split("\n\n\n")
        (test,) = (part for part in parts if f"def {name}(" in part)
        assert kind in test, f"{place} does not name {kind}"


def test_scenarios_have_known_kinds_and_unique_names() -> None:
    assert set(_NAMES) >= _CURED
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))


def test_each_kind_is_declared_once() -> None:
    assert [name for name, count in Counter(_NAMES).items() if count > 1] == []


def test_each_module_with_checks_is_in_the_ordered_list() -> None:
    assert {module.__name__.rpartition(".")[2] for module in MODULES} == {
        path.stem for path in _checks()
    }


@pytest.mark.parametrize("path", _checks(), ids=lambda path: path.stem)
def test_each_declared_kind_is_found_by_its_module(path: Path) -> None:
    """Find the kind, or one of two kinds, in the first argument of a call of found()."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    declared = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") == "Kind"
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = {
        name.id
        for call in calls
        if getattr(call.func, "id", "") == "found"
        for name in ast.walk(call.args[0])
        if isinstance(name, ast.Name) and name.id.isupper()
    }
    assert declared
    assert found & declared == declared
