import datetime
import hashlib
import json
import lzma
from pathlib import Path

import pytest

from nix_aurora.errors import FetchError, PinError, UsageError, VerificationError
from nix_aurora.release import source
from nix_aurora.release.pins import Artifact, Digest, Pins
from nix_aurora.release.source import from_argument, from_pins, kind
from tests.standin import ELF, build_installer, small_tar

TARBALL = lzma.compress(small_tar("nix-3.22.1-x86_64-linux/install"))
URL = "https://host.example/v3.22.1/nix-installer"


def digest(data: bytes) -> Digest:
    return Digest(len(data), hashlib.sha256(data).hexdigest())


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    path = tmp_path / "given" / "nix.tar.xz"
    path.parent.mkdir()
    path.write_bytes(TARBALL)
    return path


@pytest.fixture
def installer(tarball: Path) -> Path:
    path = tarball.parent / "nix-installer"
    build_installer(tarball, path)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def cached(installer: Path, cache: Path) -> Artifact:
    """Put the installer into the cache, as a download of URL does."""
    data = installer.read_bytes()
    found = digest(data)
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / f"{found.sha256}-nix-installer").write_bytes(data)
    return Artifact(URL, found.size, found.sha256)


def pins(artifact: Artifact, tarball: Digest | None = None) -> Pins:
    return Pins(
        package_release=1,
        date=datetime.date(2026, 11, 22),
        version="3.22.1",
        nix="2.35.2",
        installer={"x86_64": artifact},
        nixd={},
        tarball={"x86_64": tarball} if tarball else {},
    )


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (ELF, "installer"),
        (TARBALL, "tar.xz"),
        (b"\x28\xb5\x2f\xfd\x00", "tar.zst"),
    ],
)
def test_kind_follows_from_the_first_bytes(tmp_path: Path, start: bytes, expected: str) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(start)
    assert kind(path) == expected


@pytest.mark.parametrize(
    ("start", "got"),
    [(b"", "nothing"), (b"\x7fE", "7f 45"), (b"PK\3\4zip", "50 4b"), (b"<html>", "3c 68")],
)
def test_other_kinds_are_refused(tmp_path: Path, start: bytes, got: str) -> None:
    path = tmp_path / "file.tar.xz"
    path.write_bytes(start)
    with pytest.raises(VerificationError, match=f"tar.xz, tar.zst.*starts with {got}"):
        kind(path)


def test_release_is_extracted(installer: Path, cache: Path) -> None:
    artifact = cached(installer, cache)
    result = from_pins(pins(artifact), "x86_64", cache, offline=True)
    assert result.tarball == cache / "tarballs" / f"{artifact.sha256}.tar.xz"
    assert result.tarball.read_bytes() == TARBALL
    assert result.origin == {
        "kind": "release",
        "name": URL,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "tarball_size": len(TARBALL),
        "tarball_sha256": digest(TARBALL).sha256,
    }
    json.dumps(result.origin)


def test_pinned_tarball_is_extracted_once(
    installer: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = pins(cached(installer, cache), digest(TARBALL))
    first = from_pins(release, "x86_64", cache, offline=True)
    with monkeypatch.context() as patch:
        patch.delattr(source, "extract_tarball")
        assert from_pins(release, "x86_64", cache, offline=True) == first
    first.tarball.write_bytes(TARBALL[::-1])
    assert from_pins(release, "x86_64", cache, offline=True).tarball.read_bytes() == TARBALL


def test_unpinned_tarball_in_the_cache_is_not_trusted(installer: Path, cache: Path) -> None:
    release = pins(cached(installer, cache))
    tarball = from_pins(release, "x86_64", cache, offline=True).tarball
    tarball.write_bytes(lzma.compress(small_tar("nix-3.22.1-x86_64-linux/evil")))
    assert from_pins(release, "x86_64", cache, offline=True).tarball.read_bytes() == TARBALL


def test_tarball_other_than_pinned_is_refused(installer: Path, cache: Path) -> None:
    release = pins(cached(installer, cache), digest(b"other"))
    with pytest.raises(VerificationError, match="expected 5 bytes with SHA-256") as caught:
        from_pins(release, "x86_64", cache, offline=True)
    assert digest(TARBALL).sha256 in caught.value.message
    assert list((cache / "tarballs").iterdir()) == []


def test_release_outside_the_cache_is_refused_offline(cache: Path) -> None:
    with pytest.raises(FetchError, match="offline"):
        from_pins(pins(Artifact(URL, 5, "0" * 64)), "x86_64", cache, offline=True)


def test_architecture_without_a_pin_is_refused(cache: Path) -> None:
    with pytest.raises(PinError, match="expected an entry for aarch64"):
        from_pins(pins(Artifact(URL, 5, "0" * 64)), "aarch64", cache)


@pytest.mark.parametrize("with_digest", [True, False])
def test_tarball_file_is_used_directly(tarball: Path, cache: Path, with_digest: bool) -> None:
    sha256 = digest(TARBALL).sha256
    result = from_argument(str(tarball), sha256 if with_digest else None, cache)
    assert result.tarball == tarball
    assert result.origin == {
        "kind": "file",
        "name": "nix.tar.xz",
        "size": len(TARBALL),
        "sha256": sha256,
    }
    assert not cache.exists()


def test_installer_file_is_extracted(installer: Path, cache: Path) -> None:
    result = from_argument(str(installer), None, cache)
    assert result.tarball.read_bytes() == TARBALL
    assert result.origin["name"] == "nix-installer"
    assert result.origin["sha256"] == digest(installer.read_bytes()).sha256
    assert result.origin["tarball_sha256"] == digest(TARBALL).sha256
    assert str(installer.parent) not in json.dumps(result.origin)


def test_installer_at_a_url_is_extracted(installer: Path, cache: Path) -> None:
    artifact = cached(installer, cache)
    result = from_argument(URL + "?token=1", artifact.sha256, cache, offline=True)
    assert result.tarball.read_bytes() == TARBALL
    assert result.origin["kind"] == "url"
    assert result.origin["name"] == "nix-installer"


def test_tarball_at_a_url_is_used_directly(tarball: Path, cache: Path) -> None:
    artifact = cached(tarball, cache)
    result = from_argument(URL, artifact.sha256, cache, offline=True)
    assert result.tarball.read_bytes() == TARBALL
    assert "tarball_sha256" not in result.origin


def test_digest_other_than_given_is_refused(tarball: Path, cache: Path) -> None:
    with pytest.raises(VerificationError, match=f"expected SHA-256 {'0' * 64}, got "):
        from_argument(str(tarball), "0" * 64, cache)


@pytest.mark.parametrize(
    ("text", "sha256", "message"),
    [
        ("missing.tar.xz", None, "expected a file or an https URL, got nothing there"),
        (".", None, "got something else"),
        (URL, None, "expected --sha256 with its digest"),
        ("http://host.example/x", "0" * 64, "expected an https URL"),
        ("file:///x", "0" * 64, "expected an https URL"),
        ("https://user:secret@host.example/x", "0" * 64, "without credentials"),
        (URL, "0" * 63, "--sha256: expected 64 hex digits"),
        ("missing.tar.xz", "A" * 64, "--sha256: expected 64 hex digits"),
    ],
)
def test_wrong_usage_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch, text: str, sha256: str | None, message: str
) -> None:
    monkeypatch.chdir(cache.parent)
    with pytest.raises(UsageError) as caught:
        from_argument(text, sha256, cache)
    assert message in caught.value.message
    assert "secret" not in caught.value.message


def test_file_of_another_kind_is_refused(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "nix.zip").write_bytes(b"PK\3\4")
    with pytest.raises(VerificationError, match="expected a Determinate installer"):
        from_argument(str(tmp_path / "nix.zip"), None, cache)
