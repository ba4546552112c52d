import datetime
import hashlib
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from nix_aurora.closure.description import describe
from nix_aurora.closure.stage import stage
from nix_aurora.errors import ToolError, VerificationError
from nix_aurora.package.rpmbuild import Prepared, build_rpm, build_srpm
from tests.closures import make_tarball

TOP = Path(__file__).resolve().parents[3]
DATE = datetime.date(2026, 11, 22)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Return a small closure, staged and described."""
    tarball = make_tarball(tmp_path / "nix-3.22.1-x86_64-linux.tar.xz")
    origin: dict[str, str | int] = {
        "kind": "release",
        "name": "https://example.org/t",
        "size": 5,
        "sha256": "0" * 64,
    }
    staged = stage(tarball, tmp_path / "staged", origin)
    describe(staged, tmp_path / "description", date=DATE)
    return Prepared(staged, tmp_path / "description")


def srpm_of(prepared: Prepared, out: Path, *others: Prepared) -> Path:
    return build_srpm([prepared, *others], TOP, out, release=3, date=DATE, level=1)


def with_closure(prepared: Prepared, **changes: str) -> Prepared:
    """Return ``prepared`` with changed fields of its closure."""
    closure = replace(prepared.staged.closure, **changes)  # type: ignore[arg-type]
    return replace(prepared, staged=replace(prepared.staged, closure=closure))


def test_packages_are_built_from_a_closure(prepared: Prepared, tmp_path: Path) -> None:
    out = tmp_path / "out"
    srpm = srpm_of(prepared, out)
    assert srpm == out / "nix-aurora-3.22.1-3.src.rpm"
    digest = hashlib.sha256(srpm.read_bytes()).hexdigest()
    _, rpm = build_rpm(srpm, "x86_64", out)  # the first package is the SELinux module
    assert rpm == out / "nix-aurora-3.22.1-3.x86_64.rpm"
    assert hashlib.sha256(srpm.read_bytes()).hexdigest() == digest
    assert not list(out.glob(".*"))


def test_architectures_of_different_versions_are_refused(
    prepared: Prepared, tmp_path: Path
) -> None:
    other = with_closure(prepared, arch="aarch64", system="aarch64-linux", version="3.22.2")
    with pytest.raises(VerificationError) as caught:
        srpm_of(prepared, tmp_path, other)
    assert str(caught.value) == (
        "cannot build the SRPM: sources: expected one version for all architectures, "
        "got 3.22.2 for aarch64, 3.22.1 for x86_64"
    )


def test_tarball_other_than_the_staged_one_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    other = make_tarball(
        tmp_path / "other.tar.xz", mutate=lambda sample: setattr(sample, "top", "x")
    )
    out = tmp_path / "out"
    with pytest.raises(
        VerificationError, match=rf"other\.tar\.xz: expected SHA-256 {prepared.staged.sha256}"
    ):
        srpm_of(replace(prepared, staged=replace(prepared.staged, tarball=other)), out)
    assert not list(out.rglob("*.rpm"))


def test_refused_package_is_not_published(prepared: Prepared, tmp_path: Path) -> None:
    """The package's closure.json lists a store path that the tarball does not contain."""
    file = prepared.description / "closure.json"
    file.write_text(file.read_text().replace("-glibc-2.42", "-glibc-2.43"))
    out = tmp_path / "out"
    with pytest.raises(VerificationError, match=r"4-glibc-2\.43: expected a registered path"):
        srpm_of(prepared, out)
    assert not list(out.rglob("*.rpm"))


def test_failure_of_rpmbuild_leaves_only_its_log(tmp_path: Path) -> None:
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
    """Build the SRPM, and return the SOURCE-OFFER from its payload."""
    srpm_of(prepared, out)
    with tarfile.open(out / "rpmbuild/SOURCES/payload-x86_64.tar") as payload:
        file = payload.extractfile("usr/share/licenses/nix-aurora/SOURCE-OFFER")
        assert file
        return file.read().decode()


def test_source_offer_of_a_release_names_its_revision(prepared: Prepared, tmp_path: Path) -> None:
    """The revision is that of the tag in https://github.com/DeterminateSystems/nix-src."""
    text = source_offer(prepared, tmp_path)
    assert f"    https://example.org/t\n    5 bytes, SHA-256 {'0' * 64}\n" in text
    assert "\nThis is their corresponding source:\n" in text
    assert "git clone --branch v3.22.1 https://github.com/DeterminateSystems/nix-src\n" in text
    assert "NixOS/nixpkgs/tree/4382ed2b7a6839d4280a9b386db49cbc5907414d\n" in text
    assert "--inputs-from github:DeterminateSystems/nix-src/v3.22.1 nixpkgs#glibc.src\n" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "\n\n\n" not in text


def test_source_offer_of_an_unknown_release_names_flake_lock(
    prepared: Prepared, tmp_path: Path
) -> None:
    """The offer cannot name the revision of nixpkgs."""
    text = source_offer(with_closure(prepared, version="3.99.0"), tmp_path)
    assert "nix-src/tree/v3.99.0\n" in text
    assert "flake.lock of nix-src" in text
    assert "NixOS/nixpkgs/tree" not in text


@pytest.mark.parametrize("determinate", [True, False])
def test_source_offer_of_a_file_leaves_the_source_to_its_owner(
    prepared: Prepared, tmp_path: Path, determinate: bool
) -> None:
    """If the file claims to be a release, the offer says where that release's source is."""
    origin = {**prepared.staged.origin, "kind": "file", "name": "a\nThis is \udcff\x1b[2J.tar"}
    given = replace(prepared, staged=replace(prepared.staged, origin=origin))
    if not determinate:
        nix = given.staged.closure.nix.replace("-determinate-nix-", "-nix-")
        given = with_closure(given, nix=nix)
    text = source_offer(given, tmp_path)
    assert "    a\\nThis is \\udcff\\x1b[2J.tar\n" in text
    assert "\nThis is" not in text
    assert ("If it is that release, unchanged, this is" in text) == determinate
    assert ("https://github.com/DeterminateSystems/nix-src" in text) == determinate
    assert ("have to say here where the source is" in text) != determinate
