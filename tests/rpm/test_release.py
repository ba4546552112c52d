"""Test ``make release-files``, run as the workflow of a release runs it."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from nix_aurora.release.pins import load
from nix_aurora.run import run
from tests.closures import for_aarch64, make_tarball
from tests.rpm.builder import TOP, query

ARCHES = ("x86_64", "aarch64")
RELEASE = load(TOP / "pins.toml").package_release
NAME = f"nix-aurora-3.22.1-{RELEASE}"
FILES = sorted(
    [
        *(f"{NAME}.{arch}.{kind}" for arch in ARCHES for kind in ("rpm", "spdx.json")),
        f"{NAME}.src.rpm",
        f"{NAME.replace('aurora', 'aurora-selinux')}.noarch.rpm",
    ]
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return SOURCE: a small closure of each architecture."""
    folder = tmp_path_factory.mktemp("sources")
    tarballs = (
        make_tarball(folder / "x86_64.tar.xz"),
        make_tarball(folder / "aarch64.tar.xz", mutate=for_aarch64),
    )
    return " ".join(map(str, tarballs))


def _make(variables: Mapping[str, str | Path]) -> subprocess.CompletedProcess[str]:
    words = [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(
        ["make", "release-files", "FLAGS=--level 3", *words],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )


def test_release_has_packages_sboms_and_checksums(sources: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stale = out / "release" / "nix-aurora-3.21.0-1.src.rpm"
    stale.parent.mkdir(parents=True)
    stale.touch()
    done = _make({"SOURCE": sources, "OUT": out, "TAG": f"v3.22.1-{RELEASE}"})
    assert done.returncode == 0, done.stderr
    release = out / "release"
    assert done.stdout.splitlines() == [str(release / name) for name in [*FILES, "SHA256SUMS"]]
    assert sorted(path.name for path in release.iterdir()) == sorted([*FILES, "SHA256SUMS"])
    checked = run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=release)
    assert checked.splitlines() == [f"{name}: OK" for name in FILES]
    for arch in ARCHES:
        assert query(release / f"{NAME}.{arch}.rpm", "%{NAME}-%{VERSION}-%{RELEASE}") == NAME
        assert query(release / f"{NAME}.{arch}.rpm", "%{ARCH}") == arch
        document = json.loads((release / f"{NAME}.{arch}.spdx.json").read_text())
        assert arch in document["name"]


def test_tag_of_another_version_is_refused(sources: str, tmp_path: Path) -> None:
    done = _make({"SOURCE": sources, "OUT": tmp_path / "out", "TAG": "v3.22.1-99"})
    assert (done.returncode, done.stdout) == (2, "")
    expected = f"v3.22.1-{RELEASE}, the version of the packages"
    assert f"--tag: expected {expected}, got v3.22.1-99" in done.stderr
    assert not (tmp_path / "out/release").exists()
