"""Fixtures and settings for every tier that installs the package."""

import os
import signal
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from tests import torture
from tests.packages import PackageMaker, packages

pytest.register_assert_rewrite("tests.whole")
# A background job of a shell ignores SIGINT, and so would all processes that tests start and
# interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# No test has a time limit: a test that is slow here may be quick on another machine, and the
# reverse.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


# How many processes run the tests of a tier, for each processor. Tiers whose tests often wait have
# more: for a download while a root is made, or for a host that boots, shuts down or times out.
_PROCESSES = {"tests/rpm": 2, "tests/host": 2, "tests/ostree": 1.5}


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes run the tests that the command line names."""
    tiers = {"/".join(Path(word).parts[:2]) for word in config.args}
    each = min((_PROCESSES.get(tier, 1) for tier in tiers), default=1)
    return max(1, int(len(os.sched_getaffinity(0)) * each))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that last longest first, so that no process waits for the last one.

    These are the files marked as long, then those with the most tests.
    """
    sizes = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[bool, int, Path]:
        return item.get_closest_marker("long") is None, -sizes[item.path], item.path

    items.sort(key=place)


def pytest_report_header() -> str:
    """Return a line that says which tenth of the long tests runs."""
    return f"torture: {'whole' if torture.WHOLE else 'a tenth'}, NIX_AURORA_SEED={torture.SEED}"


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that all processes of this run share, for harness.cache.cached()."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def package() -> PackageMaker:
    """Return a maker of the real RPM."""

    @cache
    def make(suite: str) -> Path:
        return packages(suite).rpms["x86_64"]

    return lambda suite="forky": make(suite)
