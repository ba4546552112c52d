"""Test a release that a reviewed advisory affects.

It is refused, or built with a notice in the package.
"""

import json
from pathlib import Path

import pytest

from nix_aurora.run import run
from tests.closures import make_tarball
from tests.rpm.builder import PACKAGED, Built, build, build_py, query, unpack

_ID = "GHSA-cccc-ffff-gggg"
_ADVISORIES = f"""\
[{_ID}]
url = "https://github.com/NixOS/nix/security/advisories/{_ID}"
cve = ["CVE-2026-1234"]
title = "Planted, 100%"
affected = ["< 2.36.0"]
fixed = ["2.36.0"]
reviewed = true

[{_ID}.determinate]
affected = ["< 3.22.2"]
fixed = ["3.22.2"]
source = "https://host.example/notes"
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with an advisories.toml, and the tarball of a release that it affects."""
    work = tmp_path_factory.mktemp("advisories")
    (work / "advisories.toml").write_text(_ADVISORIES)
    make_tarball(work / "nix.tar.xz")
    return work


@pytest.fixture(scope="module")
def accepted(planted: Path) -> Built:
    """Return the packages that are built although the advisory affects the release."""
    words = ("--advisories", planted / "advisories.toml", "--accept", _ID)
    return build(planted / "out", [planted / "nix.tar.xz"], *words)


@pytest.mark.parametrize("command", ["srpm", "rpm", "release"])
def test_affected_release_is_refused(planted: Path, tmp_path: Path, command: str) -> None:
    words = ("--source", planted / "nix.tar.xz", "--advisories", planted / "advisories.toml")
    done = build_py(command, *words, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (5, "")
    assert f"\n{_ID}: Planted, 100%; fixed in Determinate Nix 3.22.2: https://" in done.stderr
    assert done.stderr.endswith(
        f"hint: build.py pins update --version 3.22.2; to build it anyway: --accept {_ID}\n"
    )
    assert not list(tmp_path.rglob("*.rpm"))


def test_accepted_advisory_is_in_every_changelog(accepted: Built) -> None:
    for package in accepted.paths:
        text = query(package, "[%{CHANGELOGTEXT}\\n]")
        assert f"\n- Accept the security advisory {_ID}\n" in text, package.name


def test_accepted_advisory_is_in_the_description_for_the_host(
    accepted: Built, tmp_path: Path
) -> None:
    root = unpack(accepted.rpms["x86_64"], tmp_path / "root")
    description = json.loads((root / PACKAGED[1:] / "closure.json").read_text())
    assert description["acceptedAdvisories"] == [_ID]


def test_accepted_advisory_is_kept_by_a_rebuild_of_the_source_package(
    accepted: Built, tmp_path: Path
) -> None:
    """Rebuild the source package as COPR does, without an advisories.toml."""
    rebuild = ("rpmbuild", "--rebuild", "--define", f"_topdir {tmp_path}", accepted.srpm)
    run([*rebuild, "--target", "x86_64-linux"])
    (rebuilt,) = tmp_path.rglob("nix-aurora-3*.x86_64.rpm")
    assert _ID in query(rebuilt, "[%{CHANGELOGTEXT}\\n]")
