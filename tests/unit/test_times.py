"""Test the table at the end of make check, and the choice of its long tests."""

from pathlib import Path

import pytest

from tests import torture
from tests.times import read_tier, render

_JUNIT = """\
<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="0" failures="1" skipped="0" tests="2" time="12.5">
<testcase classname="tests.unit.test_a" name="test_quick[x]" time="0.25" />
<testcase classname="tests.unit.test_a" name="test_slow" time="9.5"><failure /></testcase>
</testsuite></testsuites>
"""


def test_table_counts_tests_and_names_the_slowest(tmp_path: Path) -> None:
    (tmp_path / "unit.xml").write_text(_JUNIT)
    tier = read_tier(tmp_path / "unit.xml")
    assert render([tier, tier._replace(name="host", failed=0)]) == (
        "tier      tests  failed  seconds\n"
        "unit          2       1       12\n"
        "host          2       0       12\n"
        "all           4       1       25\n"
        "slowest: tests.unit.test_a::test_slow 10 s, tests.unit.test_a::test_slow 10 s, "
        "tests.unit.test_a::test_quick[x] 0 s, tests.unit.test_a::test_quick[x] 0 s\n"
    )


def test_truncated_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "unit.xml").write_text(_JUNIT[:100])
    with pytest.raises(ValueError, match="cannot read test times"):
        read_tier(tmp_path / "unit.xml")


def test_same_seed_chooses_the_same_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = list(range(60))
    monkeypatch.setattr(torture, "WHOLE", False)
    monkeypatch.setattr(torture, "SEED", "one")
    first = torture.chosen(cases)
    assert torture.chosen(cases) == first == sorted(first)
    assert len(first) == 6
    monkeypatch.setattr(torture, "SEED", "two")
    assert torture.chosen(cases) != first
    assert len(torture.chosen(cases[:4])) == 1


def test_torture_runs_every_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torture, "WHOLE", True)
    assert torture.chosen([3, 1, 2]) == [3, 1, 2]


def test_representatives_are_one_of_each_kind_and_a_tenth_of_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cases = [(kind, number) for kind in "abc" for number in range(21)]
    monkeypatch.setattr(torture, "WHOLE", False)
    some = torture.representatives(cases, lambda case: case[0])
    assert some == sorted(some)
    assert set(some) >= {("a", 0), ("b", 0), ("c", 0)}
    assert len(some) == 3 + 6
    assert torture.representatives(cases[::21], lambda case: case[0]) == cases[::21]
    monkeypatch.setattr(torture, "WHOLE", True)
    assert torture.representatives(cases, lambda case: case[0]) == cases
