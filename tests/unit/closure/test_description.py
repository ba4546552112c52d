import datetime
import hashlib
import json
import os
import stat
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from nix_aurora.closure import manifest
from nix_aurora.closure.description import describe
from nix_aurora.closure.stage import Staged, stage
from nix_aurora.errors import UsageError, VerificationError
from nix_aurora.store import hashes, reginfo
from tests.closures import (
    CACERT,
    CLI,
    LIBC,
    LINK,
    MANUAL,
    NIX,
    PROFILE,
    TOP,
    File,
    Sample,
    make_tarball,
    member,
    nar,
)

DATE = datetime.date(2026, 8, 1)
ORIGIN: dict[str, str | int] = {"url": "https://example.org/t", "size": 1}
LONG = "long" * 60


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Staged:
    def mutate(sample: Sample) -> None:
        libc = sample.store[LIBC]
        assert isinstance(libc, dict)
        libc |= {LONG: File(b"x"), "a-b": File(), "a": {"z": File()}}

    base = tmp_path_factory.mktemp("staged")
    return stage(make_tarball(base / "t", mutate=mutate), base / "out", ORIGIN)


@pytest.fixture(scope="module")
def described(staged: Staged, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("described") / "closure"
    describe(staged, directory, date=DATE)
    return directory


def content(directory: Path) -> dict[str, bytes]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def test_description_has_the_same_bytes_everywhere(
    described: Path, staged: Staged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    former = os.umask(0o077)
    try:
        describe(staged, tmp_path / "other", date=DATE)
    finally:
        os.umask(former)
    assert content(tmp_path / "other") == content(described)


def test_description_has_the_same_bytes_for_another_tarball(
    described: Path, staged: Staged, tmp_path: Path
) -> None:
    """Change the order, hard links, modes and times of the source."""
    target = f"{TOP}/store/{LIBC}/a-b"

    def mutate(sample: Sample) -> None:
        sample.store = dict(reversed(sample.store.items()))
        libc = sample.store[LIBC]
        assert isinstance(libc, dict)
        libc |= {"a": {}, "a-b": File(), LONG: File(b"x")}
        sample.reginfo = reginfo.render(
            info for info in staged.closure.paths if not info.name.endswith(PROFILE)
        )
        link = member(f"{TOP}/store/{LIBC}/a/z", type=tarfile.LNKTYPE, linkname=target, mtime=9)
        sample.members.append(lambda all_members: all_members.append(link))

    other = stage(make_tarball(tmp_path / "t", mutate=mutate), tmp_path / "out", ORIGIN)
    describe(other, tmp_path / "other", date=DATE)
    assert content(tmp_path / "other") == content(described)


def test_json_describes_the_closure(described: Path, staged: Staged) -> None:
    text = (described / "closure.json").read_text()
    found = json.loads(text)
    assert text == json.dumps(found, indent=2, sort_keys=True) + "\n"
    paths = found.pop("paths")
    assert found == {
        "schema": 2,
        "id": manifest.closure_id(staged.closure),
        "name": "nix",
        "version": "3.22.1",
        "system": "x86_64-linux",
        "nix": f"/nix/store/{NIX}",
        "cacert": f"/nix/store/{CACERT}",
        "manual": f"/nix/store/{MANUAL}",
        "profile": staged.profile,
        "commands": ["nix", "nix-build", "nix-store"],
        "size": found["size"],
        "source": ORIGIN,
        "acceptedAdvisories": [],
    }
    assert [path["path"] for path in paths] == [info.path for info in staged.closure.paths]
    (link,) = (path for path in paths if path["path"] == f"/nix/store/{LINK}")
    assert link == {
        "path": f"/nix/store/{LINK}",
        "narHash": hashes.to_sri(hashlib.sha256(nar(Sample().store[LINK])).digest()),
        "narSize": 184,
        "references": [f"/nix/store/{LIBC}"],
    }


def test_json_names_the_accepted_advisories(staged: Staged, tmp_path: Path) -> None:
    accepted = ["GHSA-gggg-hhhh-jjjj", "GHSA-cccc-ffff-gggg"]
    describe(staged, tmp_path / "closure", date=DATE, accepted=accepted)
    found = json.loads((tmp_path / "closure/closure.json").read_text())
    assert found["acceptedAdvisories"] == sorted(accepted)
    assert found["id"] == manifest.closure_id(staged.closure)


def test_size_counts_whole_blocks_and_inodes(described: Path, staged: Staged) -> None:
    store = staged.root / "store"
    everything = [path.lstat() for path in (store, *store.rglob("*"))]
    files = [status.st_size for status in everything if stat.S_ISREG(status.st_mode)]
    expected = 4096 * (len(everything) + sum(-(-size // 4096) for size in files))
    assert json.loads((described / "closure.json").read_text())["size"] == expected


def test_shell_reads_the_environment_file(described: Path, staged: Staged) -> None:
    file = described / "closure.env"
    keys = [line.partition("=")[0] for line in file.read_text().splitlines()]
    script = f'set -eu; . "$1"; printf "%s\\n" {" ".join(f"${key}" for key in keys)}'
    done = subprocess.run(
        ["sh", "-c", script.replace("$CLOSURE_MANUAL", '"$CLOSURE_MANUAL"'), "sh", file],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads((described / "closure.json").read_text())
    assert dict(zip(keys, done.stdout.splitlines(), strict=True)) == {
        "CLOSURE_ID": found["id"],
        "CLOSURE_VERSION": "3.22.1",
        "CLOSURE_SYSTEM": "x86_64-linux",
        "CLOSURE_NIX": f"/nix/store/{NIX}",
        "CLOSURE_CACERT": f"/nix/store/{CACERT}",
        "CLOSURE_MANUAL": f"/nix/store/{MANUAL}",
        "CLOSURE_PROFILE": staged.profile,
    }


def test_closure_without_a_manual_has_an_empty_value(staged: Staged, tmp_path: Path) -> None:
    without = replace(staged, closure=replace(staged.closure, manual=None))
    directory = tmp_path / "closure"
    describe(without, directory, date=DATE)
    assert "\nCLOSURE_MANUAL=\n" in (directory / "closure.env").read_text()
    assert json.loads((directory / "closure.json").read_text())["manual"] is None


@pytest.mark.parametrize("value", ["/nix/store/a?b", "$(id)", "a b", "a\nb", "~", "é"])
def test_unsafe_shell_values_are_refused(staged: Staged, tmp_path: Path, value: str) -> None:
    odd = replace(staged, closure=replace(staged.closure, cacert=value))
    with pytest.raises(VerificationError, match="CLOSURE_CACERT: expected a value safe in a shell"):
        describe(odd, tmp_path / "closure", date=DATE)
    assert list(tmp_path.iterdir()) == []


def test_id_depends_only_on_paths_and_roles(staged: Staged) -> None:
    first = manifest.closure_id(staged.closure)
    assert len(first) == 32
    assert manifest.closure_id(replace(staged.closure, name="x", commands=())) == first
    assert manifest.closure_id(replace(staged.closure, paths=staged.closure.paths[1:])) != first
    assert manifest.closure_id(replace(staged.closure, manual=None)) != first


def test_foreign_directory_is_not_replaced(staged: Staged, tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/nix-aurora.spec").touch()
    with pytest.raises(
        UsageError, match=r"expected a directory of its own, got one with nix-aurora\.spec"
    ):
        describe(staged, tmp_path / "sources", date=DATE)
    assert [entry.name for entry in (tmp_path / "sources").iterdir()] == ["nix-aurora.spec"]


def test_own_directory_is_replaced(staged: Staged, tmp_path: Path) -> None:
    directory = tmp_path / "closure"
    describe(staged, directory, date=DATE)
    first = content(directory)
    (directory / "share/man/old").write_text("a former page")
    describe(staged, directory, date=DATE)
    assert content(directory) == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["closure"]


def test_sbom_has_a_package_for_each_path(described: Path, staged: Staged) -> None:
    document = json.loads((described / "closure.spdx.json").read_text())
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"]["created"] == "2026-08-01T00:00:00Z"
    assert document["documentNamespace"].endswith(manifest.closure_id(staged.closure))
    packages = {package["SPDXID"]: package for package in document["packages"]}
    assert len(packages) == len(staged.closure.paths)
    assert packages[f"SPDXRef-{LIBC}"]["name"] == "glibc"
    assert packages[f"SPDXRef-{LIBC}"]["versionInfo"] == "2.42"
    assert packages[f"SPDXRef-{LIBC}"]["externalRefs"] == [
        {
            "referenceCategory": "SECURITY",
            "referenceType": "cpe23Type",
            "referenceLocator": "cpe:2.3:a:gnu:glibc:2.42:*:*:*:*:*:*:*",
        },
        {
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": "pkg:nix/glibc@2.42",
        },
    ]
    assert not {"versionInfo", "externalRefs"} & packages[f"SPDXRef-{LINK}"].keys()
    relations = {
        (each["spdxElementId"], each["relationshipType"], each["relatedSpdxElement"])
        for each in document["relationships"]
    }
    assert ("SPDXRef-DOCUMENT", "DESCRIBES", f"SPDXRef-{NIX}") in relations
    assert (f"SPDXRef-{LINK}", "DEPENDS_ON", f"SPDXRef-{LIBC}") in relations
    assert (f"SPDXRef-{CLI}", "DEPENDS_ON", f"SPDXRef-{CLI}") not in relations
