"""Print where the time of a test run went: ``python -m tests.times DIRECTORY``.

The directory has a JUnit XML file for each tier, as pytest and mypy write them.
"""

import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

_SLOWEST = 10
_TIERS = ("lint", "types", "unit", "rpm", "host", "ostree", "image")


class Case(NamedTuple):
    """One test with its fixtures."""

    name: str
    seconds: float


class Tier(NamedTuple):
    """One tier; ``seconds`` is the time from the start of its first test to the end of its last."""

    name: str
    seconds: float
    failed: int
    cases: list[Case]


def read_tier(path: Path) -> Tier:
    """Parse a JUnit XML file; raise ValueError for any other file."""
    try:
        suites = list(ET.parse(path).iter("testsuite"))  # noqa: S314 - a file of our own
    except ET.ParseError as error:
        raise ValueError(f"cannot read test times: {path}: {error}") from error
    cases = [
        Case(f"{case.get('classname')}::{case.get('name')}", float(case.get("time", 0)))
        for suite in suites
        for case in suite.iter("testcase")
    ]
    failed = sum(int(suite.get(kind, 0)) for suite in suites for kind in ("failures", "errors"))
    return Tier(path.stem, sum(float(suite.get("time", 0)) for suite in suites), failed, cases)


def render(tiers: list[Tier]) -> str:
    """Return a table of the tiers, and of the slowest tests of all of them."""
    lines = [f"{'tier':8}{'tests':>7}{'failed':>8}{'seconds':>9}"]
    lines += [f"{t.name:8}{len(t.cases):7}{t.failed:8}{t.seconds:9.0f}" for t in tiers]
    total = sum(len(tier.cases) for tier in tiers), sum(tier.failed for tier in tiers)
    lines.append(f"{'all':8}{total[0]:7}{total[1]:8}{sum(t.seconds for t in tiers):9.0f}")
    cases = sorted((case for tier in tiers for case in tier.cases), key=lambda case: -case.seconds)
    slowest = ", ".join(f"{case.name} {case.seconds:.0f} s" for case in cases[:_SLOWEST])
    return "\n".join([*lines, f"slowest: {slowest}"]) + "\n"


def main() -> int:
    """Print the table for a directory; omit tiers that did not run."""
    directory = Path(sys.argv[1])
    found = [directory / f"{name}.xml" for name in _TIERS]
    sys.stdout.write(render([read_tier(path) for path in found if path.exists()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
