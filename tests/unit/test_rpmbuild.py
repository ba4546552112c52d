import datetime
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from nix_aurora.errors import ToolError, VerificationError
from nix_aurora.pack import Packed, pack
from nix_aurora.rpmbuild import Prepared, build_rpm, build_srpm
from nix_aurora.stage import stage
from tests.closures import make_tarball

TOP = Path(__file__).resolve().parents[2]
DATE = datetime.date(2026, 11, 22)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Give a small closure, staged and packed."""
    tarball = make_tarball(tmp_path / "nix-3.22.1-x86_64-linux.tar.xz")
    staged = stage(tarball, tmp_path / "staged", {"kind": "file", "name": tarball.name})
    return Prepared(staged.closure, pack(staged, tmp_path / "packed", date=DATE, level=1))


def test_from_a_closure_to_packages(prepared: Prepared, tmp_path: Path) -> None:
    out = tmp_path / "out"
    srpm = build_srpm([prepared], TOP, out, release=3, date=DATE)
    assert srpm == out / "nix-aurora-3.22.1-3.src.rpm"
    digest = hashlib.sha256(srpm.read_bytes()).hexdigest()
    rpm = build_rpm(srpm, "x86_64", out)
    assert rpm == out / "nix-aurora-3.22.1-3.x86_64.rpm"
    assert hashlib.sha256(srpm.read_bytes()).hexdigest() == digest
    assert not list(out.glob(".*"))


def test_one_version_for_all(prepared: Prepared, tmp_path: Path) -> None:
    other = replace(prepared.closure, arch="aarch64", system="aarch64-linux", version="3.22.2")
    with pytest.raises(VerificationError) as caught:
        build_srpm(
            [prepared, Prepared(other, prepared.packed)], TOP, tmp_path, release=1, date=DATE
        )
    assert caught.value.message == (
        "building the SRPM: sources: expected one version for all architectures, "
        "got 3.22.2 for aarch64, 3.22.1 for x86_64"
    )


def test_a_package_that_is_refused_is_not_published(prepared: Prepared, tmp_path: Path) -> None:
    """Its archive is not the one of closure.json."""
    packed = prepared.packed
    wrong = tmp_path / "wrong.tar.zst"
    wrong.write_bytes(b"another")
    broken = Packed(packed.directory, wrong, packed.archive_sha256, packed.archive_size)
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
    log = Path(caught.value.message.rpartition("log: ")[2])
    assert log.read_text()
    assert [path for path in out.rglob("*") if path.is_file()] == [log]
