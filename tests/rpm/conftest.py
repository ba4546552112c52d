"""The sample closures, and the packages built from them: once for all tests of this tier."""

import sys
from pathlib import Path

import pytest

from nix_aurora.run import run
from tests.harness.cache import cache_directory
from tests.harness.provides import provides_rpm
from tests.rpm.builder import TOP, Built, build


def _sample(suite: str, arch: str) -> Path:
    """Give the tarball of a sample closure, from the cache or new."""
    out = cache_directory() / "samples" / suite
    words = ("--suite", suite, "--arch", arch, "--out", out)
    return Path(run([sys.executable, "-m", "sample", *words], cwd=TOP).strip())


@pytest.fixture(scope="session")
def tarballs() -> dict[str, Path]:
    """Give the tarballs of the newer Nix by architecture."""
    return {arch: _sample("forky", arch) for arch in ("x86_64", "aarch64")}


@pytest.fixture(scope="session")
def built(tarballs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Give the packages for both architectures."""
    return build(tmp_path_factory.mktemp("built") / "out", list(tarballs.values()))


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Give the packages of an older Nix, for x86_64 alone."""
    return build(tmp_path_factory.mktemp("older") / "out", [_sample("trixie", "x86_64")])


@pytest.fixture(scope="session")
def provides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the RPM that says what a Debian host has, in Fedora's names."""

    return provides_rpm(tmp_path_factory.mktemp("provides"))
