"""Test that tools/setup names packages that Ubuntu and Fedora have, by their recorded metadata.

The tests install neither Fedora nor Ubuntu, so packages/*.tsv lists their packages, with the source
of each entry.
"""

import re
from fnmatch import fnmatch
from typing import NamedTuple

import pytest

from tests.lint.shell import TOP

# These rows are not in a distribution. An unnecessary entry fails, so that the list only gets
# shorter.
MISSING = {
    "ubuntu": frozenset[str](),
    "fedora": frozenset({"-"}),  # tests/harness downloads Debian's mmdebstrap
}

_TABLE = re.compile(r"<<'TABLE'\n(.*?)^TABLE$", re.DOTALL | re.MULTILINE)

each_distribution = pytest.mark.parametrize("distribution", sorted(MISSING))


class Need(NamedTuple):
    """A row of tools/setup's table."""

    thing: str
    apt: str
    dnf: str

    def package(self, distribution: str) -> str:
        return self.dnf if distribution == "fedora" else self.apt


def parse_needs(script: str) -> list[Need]:
    """Return the rows of all tables in the text of tools/setup."""
    lines = [line for table in _TABLE.findall(script) for line in table.splitlines()]
    return [Need(*line.split()) for line in lines]


def _needs() -> list[Need]:
    return parse_needs((TOP / "tools/setup").read_text())


def _recorded(distribution: str) -> dict[str, set[str]]:
    """Return the recorded files of each package; an unknown file is ``-``."""
    recorded: dict[str, set[str]] = {}
    for line in (TOP / f"tests/lint/packages/{distribution}.tsv").read_text().splitlines():
        if not line.startswith("#"):
            package, file, source = line.split("\t")
            assert source, line
            recorded.setdefault(package, set()).add(file)
    return recorded


def test_tables_are_parsed() -> None:
    assert Need("/usr/bin/rpmbuild", "rpm", "rpm-build") in _needs()
    assert Need("/usr/bin/git", "git", "git-core") in _needs()
    assert parse_needs("cat <<'TABLE'\na  b   c\nTABLE\ncat <<'TABLE'\nd e f\nTABLE\n") == [
        Need("a", "b", "c"),
        Need("d", "e", "f"),
    ]


@each_distribution
def test_setup_names_existing_packages(distribution: str) -> None:
    named = {need.package(distribution) for need in _needs()}
    assert named - set(_recorded(distribution)) == MISSING[distribution]


@each_distribution
def test_packages_have_the_files_that_setup_checks(distribution: str) -> None:
    recorded = _recorded(distribution)
    for need in _needs():
        files = recorded.get(need.package(distribution), {"-"})
        if need.thing.startswith("/") and "-" not in files:
            assert any(fnmatch(need.thing, file) for file in files), need


@each_distribution
def test_record_has_its_date_and_source(distribution: str) -> None:
    text = (TOP / f"tests/lint/packages/{distribution}.tsv").read_text()
    assert re.search(r"^# Recorded \d{4}-\d\d-\d\d\b", text, re.MULTILINE)
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    assert rows == sorted(rows)
