"""Test a repository from its users' side.

It has real packages and a real key; rpm and createrepo_c's reader check it.
"""

import configparser
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import createrepo_c
import pytest

from nix_aurora.files import sha256_file
from nix_aurora.run import run
from tests.closures import make_tarball
from tests.keyring import Keyring, gpg_home, new_keyring
from tests.rpm.builder import Built, build, build_py

KEY_NAME = "RPM-GPG-KEY-nix-aurora"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Return the packages of a small closure, built by build.py."""
    top = tmp_path_factory.mktemp("small")
    return build(top / "out", [make_tarball(top / "nix-3.22.1-x86_64-linux.tar.xz")])


@pytest.fixture(scope="module")
def keyring() -> Iterator[Keyring]:
    with new_keyring() as keyring:
        yield keyring


def repo(
    small: Built, directory: Path, *words: str | Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return build_py("repo", directory, "--out", small.out, *words, env=env)


def digests(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): sha256_file(path) for path in files}


def settings(file: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(file.read_text())
    assert parser.sections() == ["nix-aurora"]
    return dict(parser["nix-aurora"])


def checksig(package: Path, key: Path | None, database: Path) -> subprocess.CompletedProcess[str]:
    """Check a package as dnf does with gpgcheck=1: a missing signature is an error, too."""
    rpmkeys = ("rpmkeys", "--dbpath", database)
    if key:
        run([*rpmkeys, "--import", key])
    return subprocess.run(
        [*rpmkeys, "--define", "_pkgverify_level all", "--checksig", package],
        capture_output=True,
        text=True,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def signed(small: Built, keyring: Keyring, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("signed") / "repo"
    url = ("--baseurl", "https://example.org/nix/")
    before = digests(small.out)
    done = repo(small, directory, "--key", keyring.fingerprint, *url, env=keyring.environment)
    assert (done.returncode, done.stdout) == (0, f"{directory}/nix-aurora.repo\n"), done.stderr
    assert digests(small.out) == before, "the originals must not change"
    return directory


def test_repository_has_all_binary_packages(signed: Path, small: Built) -> None:
    names = {path.name for path in signed.iterdir()}
    packages = {path.name for path in small.rpms.values()}
    assert names == {*packages, "nix-aurora.repo", KEY_NAME, "repodata"}
    assert settings(signed / "nix-aurora.repo") == {
        "name": "Nix for Fedora Atomic desktops",
        "baseurl": "https://example.org/nix",
        "enabled": "1",
        "gpgcheck": "1",
        "repo_gpgcheck": "1",
        "gpgkey": f"https://example.org/nix/{KEY_NAME}",
    }
    assert signed.stat().st_mode & 0o777 == 0o755
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in signed.rglob("*"))


def test_packages_are_signed(signed: Path, small: Built, tmp_path: Path) -> None:
    package = small.rpms["x86_64"]
    ours = checksig(signed / package.name, signed / KEY_NAME, tmp_path / "with")
    assert ours.returncode == 0, ours.stdout
    assert checksig(signed / package.name, None, tmp_path / "without").returncode != 0
    assert checksig(package, signed / KEY_NAME, tmp_path / "original").returncode != 0


def test_tampered_package_is_detected(signed: Path, small: Built, tmp_path: Path) -> None:
    tampered = tmp_path / small.rpms["x86_64"].name
    content = bytearray((signed / tampered.name).read_bytes())
    content[-100] ^= 1
    tampered.write_bytes(content)
    assert checksig(tampered, signed / KEY_NAME, tmp_path / "db").returncode != 0


def test_metadata_is_signed(signed: Path, keyring: Keyring, tmp_path: Path) -> None:
    """Check with a gpg home that contains only the exported key."""
    key = tmp_path / "key.gpg"
    run(["gpg", "--batch", "--dearmor", "--output", key, signed / KEY_NAME])
    repomd = signed / "repodata/repomd.xml"
    signature = signed / "repodata/repomd.xml.asc"
    assert signature.read_text().startswith("-----BEGIN PGP SIGNATURE-----\n")
    gpgv = ("gpgv", "--keyring", str(key))
    assert subprocess.run([*gpgv, signature, repomd], check=False).returncode == 0
    tampered = tmp_path / "repomd.xml"
    tampered.write_bytes(repomd.read_bytes().replace(b"<size>", b"<size>1"))
    assert subprocess.run([*gpgv, signature, tampered], check=False).returncode != 0
    assert "PRIVATE" not in (signed / KEY_NAME).read_text()
    assert keyring.fingerprint in run(
        ["gpg", "--batch", "--with-colons", "--show-keys", signed / KEY_NAME]
    )


def test_metadata_lists_the_signed_packages(signed: Path, small: Built) -> None:
    reader = createrepo_c.RepositoryReader.from_path(str(signed))
    packages = sorted(reader.iter_packages(), key=lambda package: package.name)
    names = [small.rpms[arch].name for arch in ("x86_64", "noarch")]
    assert [package.location_href for package in packages] == names
    name = names[0]
    assert packages[0].pkgId == sha256_file(signed / name)
    assert (packages[0].name, packages[0].version) == ("nix-aurora", "3.22.1")
    assert "/usr/bin/nix" in {"".join(file[1:3]) for file in packages[0].files}
    repomd = createrepo_c.Repomd(str(signed / "repodata/repomd.xml"))
    assert repomd.revision == str(packages[0].time_build)
    assert packages[0].time_file == packages[0].time_build, "it must not be the time of the copy"
    for record in repomd.records:
        assert record.checksum == sha256_file(signed / record.location_href)


def test_repository_is_replaced_as_a_whole(small: Built, keyring: Keyring, tmp_path: Path) -> None:
    """Name the key of the second repository by an address instead of the fingerprint."""
    directory = tmp_path / "new folder" / "repo"
    for _ in range(2):
        words = ("--key", "tests@nix-aurora.invalid")
        done = repo(small, directory, *words, env=keyring.environment)
        assert done.returncode == 0, done.stderr
        (directory / "left-over.rpm").touch()
        done = repo(small, directory, *words, env=keyring.environment)
        assert done.returncode == 0, done.stderr
        assert not (directory / "left-over.rpm").exists()
    assert [path.name for path in directory.parent.iterdir()] == ["repo"]
    # A space in the path is a space in the URL, too, which the file has in encoded form.
    url = settings(directory / "nix-aurora.repo")["baseurl"]
    assert url == f"file://{tmp_path}/new%20folder/repo"


def test_unsigned_repository_needs_the_option(small: Built, tmp_path: Path) -> None:
    directory = tmp_path / "repo"
    done = repo(small, directory)
    refused(done, 2, "--key: expected a key to sign with, got none\nhint: gpg --list-secret-keys")
    assert not directory.exists()

    done = repo(small, directory, "--unsigned", "--quiet")
    assert done.returncode == 0
    assert done.stderr.startswith("warning: not signed: ")
    found = settings(directory / "nix-aurora.repo")
    assert (found["gpgcheck"], found["repo_gpgcheck"]) == ("0", "0")
    assert "gpgkey" not in found
    assert {path.name for path in directory.iterdir()} == {
        "nix-aurora.repo",
        "repodata",
        *(path.name for path in small.rpms.values()),
    }
    assert repo(small, directory, "--unsigned", "--key", "x").returncode == 2


def test_same_packages_make_the_same_repository(small: Built, tmp_path: Path) -> None:
    url = ("--baseurl", "https://example.org/nix")
    copies = tmp_path / "copies"
    copies.mkdir()
    for path in small.rpms.values():
        os.utime(shutil.copyfile(path, copies / path.name), (1, 1))  # the copy has another time
    first, second = tmp_path / "first", tmp_path / "second"
    assert repo(small, first, "--unsigned", *url).returncode == 0
    assert build_py("repo", second, "--out", copies, "--unsigned", *url).returncode == 0
    assert digests(first) == digests(second)
    env = {"SOURCE_DATE_EPOCH": "1700000000"}
    assert repo(small, second, "--unsigned", *url, env=env).returncode == 0
    assert "<revision>1700000000</revision>" in (second / "repodata/repomd.xml").read_text()


@pytest.mark.parametrize("key", ["0123456789ABCDEF0123456789ABCDEF01234567", "nobody@x.invalid"])
def test_missing_key_is_reported(key: str, small: Built, keyring: Keyring, tmp_path: Path) -> None:
    done = repo(small, tmp_path / "repo", "--key", key, env=keyring.environment)
    refused(done, 2, f"--key {key}: expected one of your secret keys, got none\nhint: gpg --list")
    assert not list(tmp_path.iterdir())


def test_public_key_alone_does_not_sign(signed: Path, small: Built, tmp_path: Path) -> None:
    with gpg_home() as home:
        env = {"GNUPGHOME": str(home)}
        run(["gpg", "--batch", "--quiet", "--import", signed / KEY_NAME], env=env)
        done = repo(small, tmp_path / "repo", "--key", "tests@nix-aurora.invalid", env=env)
    refused(done, 2, "expected one of your secret keys, got none")
    assert not (tmp_path / "repo").exists()


def test_missing_packages_are_reported(tmp_path: Path) -> None:
    (tmp_path / "nix-aurora-1-1.src.rpm").touch()  # hosts do not install source packages
    done = build_py("repo", tmp_path / "repo", "--out", tmp_path, "--unsigned")
    refused(done, 2, f"{tmp_path}: expected built packages, got none\nhint: make rpm")
    assert not (tmp_path / "repo").exists()


def test_broken_package_leaves_the_earlier_repository(small: Built, tmp_path: Path) -> None:
    directory = tmp_path / "repo"
    assert repo(small, directory, "--unsigned").returncode == 0
    before = digests(directory)
    out = tmp_path / "out"
    out.mkdir()
    package = small.rpms["x86_64"]
    (out / package.name).write_bytes(package.read_bytes()[:-1000])
    done = build_py("repo", directory, "--out", out, "--unsigned")
    refused(done, 5, f"cannot verify {package.name}: ")
    assert digests(directory) == before
    assert {path.name for path in tmp_path.iterdir()} == {"repo", "out"}


def test_directory_that_is_not_a_repository_is_not_replaced(small: Built, tmp_path: Path) -> None:
    """A typing error must not delete a home directory."""
    precious = tmp_path / "home" / "precious"
    precious.parent.mkdir()
    precious.write_text("words")
    done = repo(small, precious.parent, "--unsigned")
    refused(done, 2, "expected an empty directory or a repository, got other files")
    refused(repo(small, precious, "--unsigned"), 2, "expected a directory, got another file")
    link = tmp_path / "link"
    link.symlink_to(precious.parent)
    refused(repo(small, link, "--unsigned"), 2, "expected a directory, got another file")
    assert precious.read_text() == "words"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert repo(small, empty, "--unsigned").returncode == 0
