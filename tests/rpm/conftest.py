"""The sample closures, and the packages built from them: once for all tests of all tiers."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.harness.provides import provides_rpm
from tests.packages import packages, sample
from tests.rpm.builder import Built


@pytest.fixture(scope="session")
def tarballs() -> dict[str, Path]:
    """Return the tarballs of the newer Nix by architecture."""
    return {arch: sample("forky", arch) for arch in ("x86_64", "aarch64")}


@pytest.fixture(scope="session")
def built() -> Built:
    """Return the packages for both architectures."""
    return packages("forky")


@pytest.fixture(scope="session")
def older() -> Built:
    """Return the packages of an older Nix, only for x86_64."""
    return packages("trixie")


@pytest.fixture(scope="session")
def provides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the RPM that provides the packages of a Debian host, in Fedora's names."""
    return provides_rpm(tmp_path_factory.mktemp("provides"))


@pytest.fixture
def anywhere() -> Iterator[Path]:
    """Yield a directory in which every user may write; only root may enter pytest's own."""
    with TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        yield Path(place)
