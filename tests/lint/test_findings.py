"""Doctor's contract: each finding that is an error or a warning has a scenario that cures it."""

import re
from collections.abc import Iterator

import pytest
from nix_aurora_host.checks.registry import KINDS
from nix_aurora_host.finding import Severity

from tests.host.scenarios import ELSEWHERE, SCENARIOS
from tests.lint.shell import TOP

_CHECKS = TOP / "payload/usr/lib/nix-aurora/nix_aurora_host/checks"
_FOUND = re.compile(r'\b(?:found|Finding)\(\s*"([\w-]+)"(?: if [^,]+ else "([\w-]+)")?')
_FAULTS = sorted(kind for kind, severity in KINDS.items() if severity is not Severity.NOTE)
_CURED = {identifier.partition(":")[0] for scenario in SCENARIOS for identifier in scenario.ids}


def _named_by_checks() -> Iterator[str]:
    for path in _CHECKS.glob("*.py"):
        for kinds in _FOUND.findall(path.read_text(encoding="utf-8")):
            yield from filter(None, kinds)


@pytest.mark.parametrize("kind", _FAULTS)
def test_each_fault_has_a_scenario(kind: str) -> None:
    assert kind in _CURED | ELSEWHERE.keys()


def test_each_test_elsewhere_is_there_and_is_needed() -> None:
    assert ELSEWHERE.keys() <= set(_FAULTS)
    assert not ELSEWHERE.keys() & _CURED
    for kind, place in ELSEWHERE.items():
        path, _, name = place.partition("::")
        parts = (TOP / path).read_text(encoding="utf-8").split("\n\n\n")
        (test,) = (part for part in parts if f"def {name}(" in part)
        assert kind in test, f"{place} does not name {kind}"


def test_scenarios_are_of_known_kinds_and_have_names_of_their_own() -> None:
    assert set(KINDS) >= _CURED
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))


def test_the_list_of_kinds_is_that_of_the_checks() -> None:
    assert set(_named_by_checks()) == set(KINDS)
