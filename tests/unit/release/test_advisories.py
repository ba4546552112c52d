"""Test advisories.toml: its format, the affected subjects, and updates."""

from pathlib import Path

import pytest

from nix_aurora.errors import PinError
from nix_aurora.release import advisories
from nix_aurora.release.advisories import DETERMINATE, UPSTREAM, Advisory, Review
from nix_aurora.release.exposure import Subject, affects, may_affect, release_without
from nix_aurora.release.versions import parse_range

TOP = Path(__file__).resolve().parents[3]
ID = "GHSA-g3g9-5vj6-r3gj"
OTHER = "GHSA-jm6c-h95p-6qhj"
GOOD = f"""\
# Read this first.
[{ID}]
url = "https://github.com/NixOS/nix/security/advisories/{ID}"
cve = ["CVE-2026-39860"]
title = "A link is followed"
affected = [">= 2.21, < 2.28.6"] # and so on
fixed = ["2.28.6"]
reviewed = true

[{ID}.determinate]
affected = ["< 3.17.3"]
fixed = ["3.17.3"]
source = "https://github.com/DeterminateSystems/nix-src/releases/tag/v3.17.3"

[{OTHER}]
url = "https://github.com/NixOS/nix/security/advisories/{OTHER}"
cve = []
title = "False realisations"
affected = []
fixed = []
reviewed = false
"""
PINNED = Subject("3.22.1", "2.35.2")
SAMPLE = Subject(None, "2.26.3")


def write(folder: Path, text: str) -> Path:
    path = folder / "advisories.toml"
    path.write_text(text, encoding="utf-8")
    return path


def advisory(
    *affected: str,
    fixed: tuple[str, ...] = (),
    review: Review | None = None,
    repository: str = UPSTREAM,
) -> Advisory:
    return Advisory(ID, (), "A fault", repository, affected, fixed, review)


def reviewed(*affected: str, fixed: tuple[str, ...] = ()) -> Review:
    return Review(affected, fixed, "https://host.example/notes")


# --- the file


def test_own_advisories_are_consistent() -> None:
    """Reviewed advisories have parseable ranges, which do not contain the fixed versions."""
    known = advisories.load(TOP / "advisories.toml")
    assert {"GHSA-g3g9-5vj6-r3gj", "GHSA-vh5x-56v6-4368", OTHER} <= set(known)
    for each in known.values():
        if each.review is None:
            continue
        assert each.cve
        assert each.affected
        assert each.fixed
        for text in each.affected:
            parse_range(text)
        for version in each.fixed:
            assert not may_affect(each, Subject(None, version)), each.id
        for version in each.review.fixed:
            assert not affects(each, Subject(version, None)), each.id


def test_values_are_read(tmp_path: Path) -> None:
    known = advisories.load(write(tmp_path, GOOD))
    assert list(known) == [ID, OTHER]
    first = known[ID]
    assert first.url == f"https://github.com/NixOS/nix/security/advisories/{ID}"
    assert first.repository == UPSTREAM
    assert first.cve == ("CVE-2026-39860",)
    assert (first.affected, first.fixed) == ((">= 2.21, < 2.28.6",), ("2.28.6",))
    assert first.review == Review(
        ("< 3.17.3",),
        ("3.17.3",),
        "https://github.com/DeterminateSystems/nix-src/releases/tag/v3.17.3",
    )
    assert known[OTHER].review is None


def test_empty_file_has_no_advisories(tmp_path: Path) -> None:
    assert advisories.load(write(tmp_path, "")) == {}


def test_unparseable_range_is_kept(tmp_path: Path) -> None:
    text = GOOD.replace("affected = []", 'affected = ["whatever"]')
    assert advisories.load(write(tmp_path, text))[OTHER].affected == ("whatever",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f"[{OTHER}]", "[GHSA-1]", "GHSA-1: expected an id such as GHSA-g3g9-5vj6-r3gj, got"),
        (f"[{OTHER}]", "[x]", "x: expected an id such as GHSA-g3g9-5vj6-r3gj, got 'x'"),
        ("cve = []\n", "", f"{OTHER}.cve: expected a list, got no such key"),
        ("cve = []", 'cve = "x"', f"{OTHER}.cve: expected a list, got 'x'"),
        ("cve = []", "cve = [1]", f"{OTHER}.cve: expected strings, got 1"),
        ("cve = []", 'cve = ["x"]', f"{OTHER}.cve: expected an id such as CVE-2026-39860, got 'x'"),
        ("reviewed = false", "reviewed = 0", f"{OTHER}.reviewed: expected true or false, got 0"),
        (
            "reviewed = false",
            "reviewed = true",
            f"{OTHER}.determinate: expected a table, got no such key",
        ),
        (
            "reviewed = true",
            "reviewed = false",
            f"{ID}.determinate: expected none with reviewed = false, got it",
        ),
        (
            f"nix/security/advisories/{OTHER}",
            f"nix/security/advisories/{ID}",
            f"{OTHER}.url: expected the advisory's page at GitHub, got 'https://",
        ),
        (
            f"github.com/NixOS/nix/security/advisories/{OTHER}",
            f"github.com/me/nix/security/advisories/{OTHER}",
            f"{OTHER}.url: expected the advisory's page at GitHub",
        ),
        (
            '"< 3.17.3"',
            '"before 3.17.3"',
            f"{ID}.determinate.affected: expected bounds such as >= 2.21, < 2.28.6, got 'before",
        ),
        (
            'fixed = ["3.17.3"]',
            'fixed = ["next"]',
            f"{ID}.determinate.fixed: expected a version such as 2.35.2, got 'next'",
        ),
        (
            '"https://github.com/Det',
            '"http://github.com/Det',
            "determinate.source: expected an http",
        ),
        ("reviewed = false", "reviewed = false\nx = 1", f"{OTHER}.x: expected a known key"),
        (GOOD, "]", "expected TOML, got: "),
    ],
)
def test_invalid_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(PinError) as caught:
        advisories.load(path)
    assert caught.value.message.startswith("advisories.toml: ")
    assert message in caught.value.message
    assert caught.value.hint


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PinError) as caught:
        advisories.load(tmp_path / "mine.toml")
    assert (
        caught.value.message
        == "mine.toml: expected a readable file, got: No such file or directory"
    )
    assert caught.value.hint == "git restore advisories.toml"


# --- affected subjects


@pytest.mark.parametrize(
    ("affected", "version", "expected"),
    [
        (("< 3.17.3",), "3.17.2", True),
        (("< 3.17.3",), "3.17.3", False),
        (("< 3.17.3",), "3.17.3pre20260401", True),
        ((), "3.17.2", False),
    ],
)
def test_review_decides_for_determinates_releases(
    affected: tuple[str, ...], version: str, expected: bool
) -> None:
    found = advisory("< 99.0.0", review=reviewed(*affected))
    assert affects(found, Subject(version, "2.33.3")) == expected
    assert not may_affect(found, Subject(version, "2.33.3"))


def test_upstreams_version_never_decides_for_a_release() -> None:
    found = advisory(">= 2.35.0, < 2.36.0")
    assert not affects(found, PINNED)
    assert may_affect(found, PINNED)
    assert not may_affect(advisory("< 2.35.0"), PINNED)


def test_any_version_may_be_affected_without_upstreams_number() -> None:
    assert may_affect(advisory("< 2.0.0"), Subject("3.30.0", None))


def test_upstreams_nix_may_be_affected_but_is_never_refused() -> None:
    found = advisory("< 2.28.6", review=reviewed("< 99.0.0"))
    assert not affects(found, SAMPLE)
    assert may_affect(found, SAMPLE)
    assert not may_affect(found, Subject(None, "2.34.8"))


def test_determinates_advisories_apply_to_their_versions() -> None:
    found = advisory("< 3.22.2", repository=DETERMINATE)
    assert may_affect(found, PINNED)
    assert not may_affect(found, Subject("3.22.2", None))
    assert not may_affect(found, SAMPLE)
    known = advisory("< 3.22.2", repository=DETERMINATE, review=reviewed("< 3.22.2"))
    assert affects(known, PINNED)
    assert not may_affect(known, PINNED)


def test_first_release_without_all_advisories_is_found() -> None:
    subject = Subject("3.16.1", None)
    first = advisory(review=reviewed("< 3.17.3", fixed=("3.15.9", "3.16.4", "3.17.3")))
    second = advisory(review=reviewed("< 3.19.1", fixed=("3.19.1",)))
    never = advisory(review=reviewed(">= 3.0.0"))
    assert release_without([first], subject) == "3.16.4"
    assert release_without([first, second], subject) == "3.19.1"
    assert release_without([first, never], subject) is None
    assert release_without([first], Subject("odd", None)) is None


# --- updates from GitHub


def test_new_advisories_are_appended_and_reviewed_ones_stay(tmp_path: Path) -> None:
    new = Advisory(
        "GHSA-cccc-ffff-gggg", ("CVE-2026-1234",), 'A "title" \\', DETERMINATE, ("< 3.23.0",), ()
    )
    changed = Advisory(ID, (), "Another title", UPSTREAM, ("< 1",), ())
    text = advisories.merge(GOOD, [changed, new])
    assert text.startswith(GOOD)
    known = advisories.load(write(tmp_path, text))
    assert list(known) == [ID, OTHER, new.id]
    assert known[new.id] == new


def test_unreviewed_advisory_is_updated(tmp_path: Path) -> None:
    text = GOOD.replace("affected = []", "affected = [] # not known yet")
    ranges = (">= 2.18.2, < 2.28.6", ">= 2.29.0, < 2.29.3", ">= 2.30.0, < 2.30.4", "and more")
    found = Advisory(OTHER, (), "False realisations", UPSTREAM, ranges, ("3",))
    merged = advisories.merge(text, [found])
    assert advisories.load(write(tmp_path, merged))[OTHER] == found
    assert merged.startswith(GOOD.partition(f"[{OTHER}]")[0])
    assert advisories.merge(merged, [found]) == merged
    assert max(map(len, merged.splitlines())) <= 100


def test_update_without_news_changes_nothing() -> None:
    ours = (TOP / "advisories.toml").read_text()
    assert advisories.merge(ours, advisories.load(TOP / "advisories.toml").values()) == ours
    assert advisories.merge(ours, []) == ours
