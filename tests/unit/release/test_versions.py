"""Test ranges of versions that people typed into advisories: unclear ones are not trusted."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix_aurora.release.versions import may_be_affected, parse_range, parse_version

FIXED = ("2.28.6", "2.29.3", "2.30.4", "2.31.4", "2.32.7", "2.33.4", "2.34.5")


def affected(version: str, *ranges: str, fixed: tuple[str, ...] = ()) -> bool:
    return may_be_affected(version, ranges, fixed)


# --- ranges that can be parsed


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">= 2.21, < 2.28.6", ("2.21", "2.21.0", "2.28.5", "2.25.3"), ("2.28.6", "2.20.9", "2.35")),
        ("< 2.28.6, >= 2.21", ("2.21", "2.28.5"), ("2.28.6", "2.20.9")),
        ("< 2.34.5", ("0", "2.34.4", "2.9"), ("2.34.5", "2.34.10", "3")),
        ("<2.34.5", ("2.34.4",), ("2.34.5",)),
        ("<= 2.34.5", ("2.34.5", "2.34.5.0"), ("2.34.6", "2.34.5.1")),
        ("> 2.34.5, <= 2.34.7", ("2.34.6", "2.34.7"), ("2.34.5", "2.34.8")),
        ("2.30.0", ("2.30.0", "2.30"), ("2.30.1", "2.29.9")),
        ("= 2.30.0", ("2.30.0",), ("2.30.1",)),
        ("2.30.0, 2.30.1", ("2.30.0", "2.30.1"), ("2.30.2", "2.29.0")),
        (" >=2.29.0 ,<2.29.3 ", ("2.29.2",), ("2.29.3",)),
        (">= 2.20.5, <= 2.20.9", ("2.20.9",), ("2.20.10",)),
    ],
)
def test_ranges_contain_the_right_versions(
    text: str, inside: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    assert [version for version in inside if not affected(version, text)] == []
    assert [version for version in outside if affected(version, text)] == []


def test_fixed_versions_limit_ranges_without_an_upper_bound() -> None:
    """The advisory GHSA-g3g9-5vj6-r3gj is of this form."""
    text = ">=2.18.2,>=2.19.4,>=2.20.5,>=2.21"
    for version in ("2.18.2", "2.19.4", "2.20.9", "2.25.5", "2.28.5", "2.34.4", "2.34.5pre1"):
        assert affected(version, text, fixed=FIXED), version
    for version in ("2.18.1", "2.28.6", "2.28.7", "2.30.4", "2.34.5", "2.34.8", "2.35.2", "3.0.0"):
        assert not affected(version, text, fixed=FIXED), version
    assert affected("2.35.2", text)
    assert affected("2.35.2", text, fixed=("the next one",))
    assert not affected("2.35.2", text, fixed=(">= 2.34.5",))


def test_fixed_versions_do_not_contradict_a_bound() -> None:
    assert affected("2.35.2", "< 2.36.0", fixed=FIXED)


@pytest.mark.parametrize("version", ["2.35.0pre20251120", "2.35.0pre1_abcdef", "2.35.0~rc1"])
def test_pre_release_precedes_its_release_and_has_its_faults(version: str) -> None:
    assert affected(version, ">= 2.35.0, < 2.35.1")
    assert affected(version, "< 2.35.0")
    assert not affected(version, "< 2.34.9")
    assert not affected(version, ">= 2.35.1")


@pytest.mark.parametrize("version", ["2.34.8+1", "2.34.8_1", "2.34.8-1"])
def test_patch_suffix_is_ignored(version: str) -> None:
    assert affected(version, "<= 2.34.8")
    assert not affected(version, "< 2.34.8")


# --- ranges that cannot be parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "all versions",
        "*",
        "2.x",
        "v2.30.0",
        ">= 2.19.0, < 2.19.7, 2.20.9, 2.21.5, 2.22.4, 2.23.4, 2.24.10",  # CVE-2024-51481
        ">= 2.20.0, < 2.20.5, >= 2.19.0, < 2.19.4",
        ">= 2.20.0 < 2.20.5",
        "< 2.20.5 || >= 2.21.0, < 2.21.3",
        "< 2.20.5, < 2.19.4",
        ">= 2.20.0, 2.20.5",
        "~> 2.20.0",
        "!= 2.20.0",
        "< 2.20.5,",
        "<",
        "2.34",
        "= 2.34",
        "<= 2.34",
        "< 2.35.0rc1",
        "< 2.20.5, > 2.30.0",
        ">= 2.30.0, < 2.30.0",
        "> 2.30.0, <= 2.30",
        "< ٢.٣",
        "< 9999999999.0",
    ],
)
def test_unparseable_range_may_mean_any_version(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected .*, got "):
        parse_range(text)
    assert affected("2.35.2", text)
    assert affected("99", "< 2.0.0", text, fixed=FIXED)


def test_unknown_version_may_be_affected() -> None:
    assert may_be_affected(None, ["< 2.0.0"], [])
    assert may_be_affected("2.35.2", [], FIXED)
    assert affected("unstable", "< 2.0.0")


@pytest.mark.parametrize("text", ["", "x", "2.", ".2", "2..3", "2.35.2 x", "2,3", "٢"])
def test_invalid_versions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a version such as 2"):
        parse_version(text)


# --- any typed text

numbers = st.lists(st.integers(0, 40), min_size=3, max_size=4)


def text_of(parts: list[int]) -> str:
    return ".".join(map(str, parts))


def key(parts: list[int]) -> list[int]:
    return [*parts, 0, 0, 0][:4]


@given(version=numbers, bound=numbers, operator=st.sampled_from(["<", "<=", ">", ">=", "=", ""]))
def test_one_bound_is_a_comparison(version: list[int], bound: list[int], operator: str) -> None:
    holds = {
        "<": key(version) < key(bound),
        "<=": key(version) <= key(bound),
        ">": key(version) > key(bound),
        ">=": key(version) >= key(bound),
    }.get(operator, key(version) == key(bound))
    assert affected(text_of(version), f"{operator} {text_of(bound)}") == holds


@given(version=numbers, lower=numbers, upper=numbers, spaces=st.sampled_from(["", " ", "  "]))
def test_two_bounds_apply_together(
    version: list[int], lower: list[int], upper: list[int], spaces: str
) -> None:
    text = f">={spaces}{text_of(lower)},{spaces}<{spaces}{text_of(upper)}"
    is_empty = key(lower) >= key(upper)  # such a range is a mistake, so it excludes nothing
    assert affected(text_of(version), text) == (is_empty or key(lower) <= key(version) < key(upper))


@given(
    version=numbers,
    text=st.one_of(st.text(), st.text("0123456789., <>=|v", max_size=20)),
    fixed=st.lists(st.text("0123456789. >=x", max_size=8), max_size=3),
)
def test_text_that_is_not_parsed_never_excludes_a_version(
    version: list[int], text: str, fixed: list[str]
) -> None:
    try:
        parse_range(text)
    except ValueError:
        assert affected(text_of(version), text, fixed=tuple(fixed))
    else:
        assert re.fullmatch(r"[0-9., <>=\s]+", text)


@given(version=numbers, lines=st.lists(numbers, min_size=1, max_size=4))
def test_fixed_version_is_outside_an_open_range(version: list[int], lines: list[list[int]]) -> None:
    fixed = tuple(map(text_of, lines))
    newest = max(lines, key=key)
    if affected(text_of(version), ">= 0.0.0", fixed=fixed):
        assert key(version) < key(newest)
    assert not affected(text_of(newest), ">= 0.0.0", fixed=fixed)
