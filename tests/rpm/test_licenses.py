"""Test the licenses of a real closure, in real packages, and with SPDX's own reader."""

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from nix_aurora.run import run
from tests.rpm.builder import PACKAGED, Built, query, unpack

_DIRECTORY = "/usr/share/licenses/nix-aurora"
_STORE = "/nix/store/"


@pytest.fixture(scope="module")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of an unpacked package."""
    return unpack(built.rpms["x86_64"], tmp_path_factory.mktemp("licenses") / "root")


@pytest.fixture(scope="module")
def listing(unpacked: Path) -> str:
    return (unpacked / _DIRECTORY[1:] / "CLOSURE-LICENSES").read_text(encoding="ascii")


def test_rpm_lists_the_licenses(built: Built) -> None:
    """Compare with the output of ``rpm -qL``; --nodocs installs the licenses, too."""
    texts = ("GCC-exception-3.1", "GPL-2.0", "GPL-3.0", "LGPL-2.1", "LGPL-3.0")
    names = ["CLOSURE-LICENSES", "LICENSE", "SOURCE-OFFER", *(f"{name}.txt" for name in texts)]
    for arch in ("x86_64", "aarch64"):
        rpm = built.rpms[arch]
        shown = run(["rpm", "-qpL", "--nosignature", rpm]).splitlines()
        assert shown == [f"{_DIRECTORY}/{name}" for name in sorted(names)]
        license = query(rpm, "%{LICENSE}")
        assert license == "MIT AND LGPL-2.1-or-later AND LicenseRef-nix-aurora-closure"


def test_every_path_is_listed(unpacked: Path, listing: str) -> None:
    manifest = json.loads((unpacked / PACKAGED[1:] / "closure.json").read_text())
    paths = [entry["path"] for entry in manifest["paths"]]
    assert re.findall(r"^Path: (.*)$", listing, re.MULTILINE) == paths
    assert len(re.findall(r"^License: ", listing, re.MULTILINE)) == len(paths)
    assert "LicenseRef-nix-aurora-closure" in listing


def test_every_license_file_is_installed_and_listed(built: Built, listing: str) -> None:
    found = re.findall(r"^File: (.*)\nSHA256: (.*)$", listing, re.MULTILINE)
    assert len(found) > 50
    store = built.out / "stage/x86_64/var/lib/nix/store"
    for path, sha256 in found:
        content = (store / path.removeprefix(_STORE)).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256, path


def test_debians_packages_have_known_licenses(listing: str) -> None:
    """Each package's copyright file names its license."""
    told = {
        match[1]: match[2]
        for match in re.finditer(r"^Name: (.*)\n(?:Version: .*\n)?License: (.*)$", listing, re.M)
    }
    assert told["busybox"] == "GPL-2.0-only"
    assert told["libseccomp2"] == "LGPL-2.1-only"
    assert told["libzstd1"] == "(BSD-3-Clause OR GPL-2.0-only) AND MIT AND Zlib"
    for name in ("glibc", "nix", "nss-cacert", "sandbox-shell"):
        assert told[name] == "NOASSERTION"
    paragraph = listing.partition("\nName: glibc\n")[2].partition("\n\n")[0]
    assert re.search(r"^Names: .*\bLGPL-2\.1\+; ", paragraph, re.MULTILINE)


def test_no_text_is_installed_twice(unpacked: Path) -> None:
    """Install license texts of the closure only in the closure."""
    names = [path for path in unpacked.rglob("*") if "license" in str(path.relative_to(unpacked))]
    files = [path for path in names if path.is_file() and not path.is_symlink()]
    assert len(files) > 5
    digests = Counter(path.read_bytes() for path in files)
    assert set(digests.values()) == {1}


def test_spdx_reader_accepts_the_sbom(unpacked: Path) -> None:
    """Check that SPDX's reader finds every expression and every reference valid."""
    document = unpacked / PACKAGED[1:] / "closure.spdx.json"
    program = Path(sys.executable).with_name("pyspdxtools")
    done = subprocess.run(
        [program, "--infile", document, "--version", "SPDX-2.3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    packages = json.loads(document.read_text())["packages"]
    assert len({package["licenseConcluded"] for package in packages}) > 5
    (nix,) = (package for package in packages if package["name"] == "nix")
    assert [reference["referenceLocator"] for reference in nix["externalRefs"]] == [
        f"cpe:2.3:a:nixos:nix:{nix['versionInfo']}:*:*:*:*:*:*:*",
        f"pkg:nix/nix@{nix['versionInfo']}",
    ]
    versioned = [package for package in packages if "versionInfo" in package]
    assert len(versioned) > 20
    assert all(len(package["externalRefs"]) == 2 for package in versioned)


def test_source_offer_leaves_the_sample_to_its_maker(unpacked: Path) -> None:
    """The sample is not a release: only the person who built it knows its sources."""
    text = (unpacked / _DIRECTORY[1:] / "SOURCE-OFFER").read_text(encoding="ascii")
    manifest = json.loads((unpacked / PACKAGED[1:] / "closure.json").read_text())
    assert f"    {manifest['source']['name']}\n" in text
    assert f"SHA-256 {manifest['source']['sha256']}\n" in text
    assert "have to say here where the source is" in text
