import datetime
import hashlib
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from nix_aurora.errors import ToolError, VerificationError
from nix_aurora.pack import pack
from nix_aurora.rpmbuild import Prepared, build_rpm, build_srpm
from nix_aurora.stage import stage
from tests.closures import make_tarball

TOP = Path(__file__).resolve().parents[2]
DATE = datetime.date(2026, 11, 22)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Give a small closure, staged and packed."""
    tarball = make_tarball(tmp_path / "nix-3.22.1-x86_64-linux.tar.xz")
    origin: dict[str, str | int] = {
        "kind": "release",
        "name": "https://example.org/t",
        "size": 5,
        "sha256": "0" * 64,
    }
    staged = stage(tarball, tmp_path / "staged", origin)
    return Prepared(staged.closure, pack(staged, tmp_path / "packed", date=DATE, level=1))


def test_from_a_closure_to_packages(prepared: Prepared, tmp_path: Path) -> None:
    out = tmp_path / "out"
    srpm = build_srpm([prepared], TOP, out, release=3, date=DATE)
    assert srpm == out / "nix-aurora-3.22.1-3.src.rpm"
    digest = hashlib.sha256(srpm.read_bytes()).hexdigest()
    _, rpm = build_rpm(srpm, "x86_64", out)  # the module for SELinux comes first
    assert rpm == out / "nix-aurora-3.22.1-3.x86_64.rpm"
    assert hashlib.sha256(srpm.read_bytes()).hexdigest() == digest
    assert not list(out.glob(".*"))


def test_one_version_for_all(prepared: Prepared, tmp_path: Path) -> None:
    other = replace(prepared.closure, arch="aarch64", system="aarch64-linux", version="3.22.2")
    with pytest.raises(VerificationError) as caught:
        build_srpm(
            [prepared, Prepared(other, prepared.packed)], TOP, tmp_path, release=1, date=DATE
        )
    assert str(caught.value) == (
        "building the SRPM: sources: expected one version for all architectures, "
        "got 3.22.2 for aarch64, 3.22.1 for x86_64"
    )


def test_a_package_that_is_refused_is_not_published(prepared: Prepared, tmp_path: Path) -> None:
    """Its archive is not the one of closure.json."""
    packed = prepared.packed
    wrong = tmp_path / "wrong.tar.zst"
    wrong.write_bytes(b"another")
    broken = replace(packed, archive=wrong)
    out = tmp_path / "out"
    with pytest.raises(VerificationError, match=r"closure-x86_64\.tar\.zst: expected SHA-256"):
        build_srpm([Prepared(prepared.closure, broken)], TOP, out, release=1, date=DATE)
    assert not list(out.rglob("*.rpm"))


def test_a_failure_of_rpmbuild(tmp_path: Path) -> None:
    """Its log is there to be read, and nothing else."""
    srpm = tmp_path / "x.src.rpm"
    srpm.write_bytes(b"no package")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ToolError, match="rpmbuild: expected exit code 0, got 1") as caught:
        build_rpm(srpm, "x86_64", out)
    log = Path(str(caught.value).rpartition("log: ")[2])
    assert log.read_text()
    assert [path for path in out.rglob("*") if path.is_file()] == [log]


def source_offer(prepared: Prepared, out: Path) -> str:
    """Give the SOURCE-OFFER that goes into the packages."""
    build_srpm([prepared], TOP, out, release=1, date=DATE)
    with tarfile.open(out / "rpmbuild/SOURCES/payload-x86_64.tar") as payload:
        file = payload.extractfile("usr/share/licenses/nix-aurora/SOURCE-OFFER")
        assert file
        return file.read().decode()


def test_the_source_of_a_release(prepared: Prepared, tmp_path: Path) -> None:
    """The tag, and the revision that https://github.com/DeterminateSystems/nix-src has there."""
    text = source_offer(prepared, tmp_path)
    assert f"    https://example.org/t\n    5 bytes, SHA-256 {'0' * 64}\n" in text
    assert "\nThis is their corresponding source:\n" in text
    assert "git clone --branch v3.22.1 https://github.com/DeterminateSystems/nix-src\n" in text
    assert "NixOS/nixpkgs/tree/4382ed2b7a6839d4280a9b386db49cbc5907414d\n" in text
    assert "--inputs-from github:DeterminateSystems/nix-src/v3.22.1 nixpkgs#glibc.src\n" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "\n\n\n" not in text


def test_the_source_of_a_release_of_which_we_know_less(prepared: Prepared, tmp_path: Path) -> None:
    """flake.lock is named, and no revision."""
    other = replace(prepared, closure=replace(prepared.closure, version="3.99.0"))
    text = source_offer(other, tmp_path)
    assert "nix-src/tree/v3.99.0\n" in text
    assert "flake.lock of nix-src" in text
    assert "NixOS/nixpkgs/tree" not in text


@pytest.mark.parametrize("determinate", [True, False])
def test_the_source_of_a_file_is_its_owners_matter(
    prepared: Prepared, tmp_path: Path, determinate: bool
) -> None:
    """Of one that calls itself a release no more is said than that."""
    origin = {**prepared.packed.origin, "kind": "file", "name": "a\nThis is \udcff\x1b[2J.tar"}
    given = replace(prepared, packed=replace(prepared.packed, origin=origin))
    if not determinate:
        nix = given.closure.nix.replace("-determinate-nix-", "-nix-")
        given = replace(given, closure=replace(given.closure, nix=nix))
    text = source_offer(given, tmp_path)
    assert "    a\\nThis is \\udcff\\x1b[2J.tar\n" in text
    assert "\nThis is" not in text
    assert ("if it is that release, unchanged, this is" in text) == determinate
    assert ("https://github.com/DeterminateSystems/nix-src" in text) == determinate
    assert ("has to say here where the source is" in text) != determinate
