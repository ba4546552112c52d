import datetime
from pathlib import Path

import pytest

from nix_aurora.errors import PinError
from nix_aurora.release.checks import check_sha256, check_url
from nix_aurora.release.pins import ARCHES, Artifact, Digest, load

ROOT = Path(__file__).parents[3]
HEX = "0123456789abcdef" * 4

GOOD = f"""\
[package]
release = 2
date = 2026-11-22
[release]
version = "3.22.1"
[installer.x86_64]
url = "https://host.example/installer-x86"
size = 10
sha256 = "{HEX}"
[installer.aarch64]
url = "https://host.example/installer-arm"
size = 11
sha256 = "{HEX}"
[determinate-nixd.x86_64]
url = "https://host.example/nixd-x86"
size = 12
sha256 = "{HEX}"
[determinate-nixd.aarch64]
url = "https://host.example/nixd-arm"
size = 13
sha256 = "{HEX}"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "pins.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_own_pins_are_complete() -> None:
    pins = load(ROOT / "pins.toml")
    assert set(pins.installer) == set(pins.nixd) == set(ARCHES)
    for arch in ARCHES:
        for artifact in (pins.installer[arch], pins.nixd[arch]):
            assert arch in artifact.url
            assert f"v{pins.version}/" in artifact.url
    digests = [pin.sha256 for pin in (*pins.installer.values(), *pins.nixd.values())]
    assert len(set(digests)) == 4


def test_values_are_read(tmp_path: Path) -> None:
    pins = load(write(tmp_path, GOOD))
    assert pins.package_release == 2
    assert pins.date == datetime.date(2026, 11, 22)
    assert (pins.version, pins.nix) == ("3.22.1", None)
    assert pins.installer["x86_64"] == Artifact("https://host.example/installer-x86", 10, HEX)
    assert pins.nixd["aarch64"] == Artifact("https://host.example/nixd-arm", 13, HEX)
    assert not pins.tarball


def test_upstreams_version_is_read(tmp_path: Path) -> None:
    text = GOOD.replace('version = "3.22.1"\n', 'version = "3.22.1"\nnix = "2.35.2"\n')
    assert load(write(tmp_path, text)).nix == "2.35.2"


def test_tarball_of_one_architecture_is_read(tmp_path: Path) -> None:
    text = f'{GOOD}[tarball.aarch64]\nsize = 5\nsha256 = "{HEX}"\n'
    assert load(write(tmp_path, text)).tarball == {"aarch64": Digest(5, HEX)}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("release = 2\n", "", "package.release: expected an integer, got no such key"),
        ("release = 2", "release = true", "package.release: expected an integer, got True"),
        ("release = 2", "release = 2.0", "package.release: expected an integer, got 2.0"),
        (
            'version = "3.22.1"',
            'version = "3.22.1"\nnix = "new"',
            "release.nix: expected a version such as 3.22.1, got 'new'",
        ),
        ("release = 2", "release = 0", "package.release: expected a positive number, got 0"),
        (
            "date = 2026-11-22",
            "date = 2026-11-22T10:00:00Z",
            "package.date: expected a date (YYYY-MM-DD), got datetime",
        ),
        (
            "date = 2026-11-22",
            'date = "2026-11-22"',
            "package.date: expected a date (YYYY-MM-DD), got '2026-11-22'",
        ),
        ("release = 2", "release = 2\nx = 1", "package.x: expected a known key, got this one"),
        ("[release]", "[x]\n[release]", "x: expected a known key, got this one"),
        ("[release]", "[installer.riscv64]\n[release]", "installer.riscv64: expected a known key"),
        ("size = 10", "size = 10\nx = 1", "installer.x86_64.x: expected a known key"),
        ("size = 10", "size = 0", "installer.x86_64.size: expected a positive number, got 0"),
        ("size = 10", "size = -1", "installer.x86_64.size: expected a positive number, got -1"),
        ("size = 10", 'size = "10"', "installer.x86_64.size: expected an integer, got '10'"),
        ("size = 10", "size = true", "installer.x86_64.size: expected an integer, got True"),
        (
            HEX,
            HEX[1:],
            f"installer.x86_64.sha256: expected 64 hex digits in lower case, got '{HEX[1:]}",
        ),
        (HEX, HEX.upper(), "installer.x86_64.sha256: expected 64 hex digits in lower case"),
        (HEX, HEX + "\\n", "installer.x86_64.sha256: expected 64 hex digits in lower case"),
        ("https:", "http:", "installer.x86_64.url: expected an https URL, got 'http://"),
        ('"3.22.1"', '"3.22.1-rc1"', "release.version: expected a version such as 3.22.1"),
        ('"3.22.1"', '"v3.22.1"', "release.version: expected a version such as 3.22.1"),
        ('"3.22.1"', '"3"', "release.version: expected a version such as 3.22.1"),
        ("[installer.x86_64]", "[other]", "installer.x86_64: expected a table, got no such key"),
        ("[package]", "package = 1\n[x]", "package: expected a table, got 1"),
        ("[package]", "[tarball.s390x]\n[package]", "tarball.s390x: expected a known key"),
        ("[package]", "[tarball.x86_64]\n[package]", "tarball.x86_64.size: expected an integer"),
        ("[package]", "[package", "expected TOML, got: "),
    ],
)
def test_invalid_pins_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(PinError) as caught:
        load(write(tmp_path, GOOD.replace(old, new, 1)))
    assert caught.value.message.startswith("pins.toml: ")
    assert message in caught.value.message
    assert caught.value.hint


def test_hint_for_an_unknown_key_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(PinError) as caught:
        load(write(tmp_path, GOOD.replace("size = 10", "size = 10\nsha512 = 1")))
    assert caught.value.hint == "known keys: url, size, sha256"


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PinError, match=r"pins\.toml: expected a readable file"):
        load(tmp_path / "pins.toml")


def test_invalid_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pins.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PinError, match="expected TOML"):
        load(tmp_path / "pins.toml")


@pytest.mark.parametrize(
    "url", ["https://h.example/a", "https://h.example:8443/a?b=c", "HTTPS://h/"]
)
def test_valid_urls_are_accepted(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h.example/a",
        "/a/path",
        "http://h.example/a",
        "file:///a",
        "ftp://h.example/",
        "https:///a",
        "https://",
        "https://:443/a",
        "https://h.example:x/",
        "https://h.example:99999/",
        "https://[::1/",
        "https://user@h.example/",
        "https://user:secret@h.example/",
        "https://h.example\\@evil.example/",
        "https://h.example/a b",
        "https://h.example/a\n",
        "\thttps://h.example/a",
        "https://h\u00e9.example/",
    ],
)
def test_invalid_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected a URL|expected an https URL") as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


def test_sha256_is_checked() -> None:
    assert check_sha256(HEX) == HEX
    with pytest.raises(ValueError, match="64 hex digits"):
        check_sha256(f"sha256:{HEX}")
