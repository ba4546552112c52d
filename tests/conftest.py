"""What every tier that installs the package needs."""

import signal
from functools import cache
from pathlib import Path

import pytest

from tests.packages import PackageMaker, build_package

pytest.register_assert_rewrite("tests.whole")
# A shell's background job ignores SIGINT, and so would all that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> PackageMaker:
    """Give a maker of the real RPM."""

    @cache
    def make(suite: str) -> Path:
        return build_package(suite, tmp_path_factory.mktemp(f"package-{suite}"))

    return lambda suite="forky": make(suite)
