import datetime
import hashlib
import io
import itertools
import json
import os
import shutil
import subprocess
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from nix_aurora.pack import Packed, pack

from nix_aurora import hashes, manifest, reginfo
from nix_aurora.errors import UsageError, VerificationError
from nix_aurora.files import sha256_file
from nix_aurora.stage import Staged, stage
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
def packed(staged: Staged, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return pack(staged, tmp_path_factory.mktemp("packed") / "closure", date=DATE, level=3)


def parts(packed: Packed) -> list[bytes]:
    data = packed.archive.read_bytes()
    sizes = json.loads((packed.directory / "closure.json").read_text())["archive"]["parts"]
    assert sum(sizes) == len(data)
    ends = itertools.accumulate(sizes, initial=0)
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def members(packed: Packed) -> list[tarfile.TarInfo]:
    data = b"".join(zstandard.decompress(part) for part in parts(packed))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getmembers()


def content(packed: Packed) -> dict[str, bytes]:
    paths = [path for path in packed.directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(packed.directory)): path.read_bytes() for path in paths}


def test_members(packed: Packed, staged: Staged) -> None:
    found = members(packed)
    assert found[0].name == "store"
    on_disk = {str(path.relative_to(staged.root)) for path in staged.root.rglob("*")}
    assert {each.name for each in found} == on_disk - {".reginfo", "var", "var/nix"}
    for each in found:
        assert (each.uid, each.gid, each.uname, each.gname, each.mtime) == (0, 0, "", "", 1)
        assert each.pax_headers.keys() <= {"path"}
        expected = 0o777 if each.issym() else 0o555 if each.isdir() else {0o444, 0o555}
        assert each.mode == expected or (isinstance(expected, set) and each.mode in expected)
    modes = {each.name: each.mode for each in found}
    assert modes[f"store/{CLI}/bin/nix"] == 0o555


def test_unpacks_to_what_was_staged(packed: Packed, staged: Staged, tmp_path: Path) -> None:
    data = b"".join(zstandard.decompress(part) for part in parts(packed))
    subprocess.run(["tar", "-x", "-C", tmp_path], input=data, check=True)
    subprocess.run(
        ["diff", "-r", "--no-dereference", staged.root / "store", tmp_path / "store"], check=True
    )


def test_archive_says_its_size_and_has_a_checksum(packed: Packed) -> None:
    frames = [zstandard.get_frame_parameters(part[:18]) for part in parts(packed)]
    assert all(frame.has_checksum for frame in frames)
    assert sum(frame.content_size for frame in frames) % 10240 == 0
    assert packed.archive_size == packed.archive.stat().st_size
    assert packed.archive_sha256 == sha256_file(packed.archive)


def test_two_parts_of_whole_store_paths(packed: Packed) -> None:
    """So that neither writes into what the other makes; with tar's own, they are one archive."""
    seen: list[Counter[str]] = []
    for part in parts(packed):
        with tarfile.open(fileobj=io.BytesIO(zstandard.decompress(part))) as archive:
            found = [each for each in archive.getmembers() if each.name != "store"]
        names = [each.name + "/" * each.isdir() for each in found]
        assert names == sorted(names, key=os.fsencode)
        seen.append(Counter())
        for each in found:
            header = each.offset_data - each.offset
            seen[-1][each.name.split("/")[1]] += header + -(-each.size // 512) * 512
    one, other = sorted(seen, key=Counter.total)
    assert one.keys().isdisjoint(other.keys())
    assert one
    assert other.total() - one.total() <= min(other.values())
    listed = subprocess.check_output(["tar", "--zstd", "--list", "--file", packed.archive])
    assert len(listed.splitlines()) == len(members(packed))


def test_a_closure_of_one_path_is_one_part(staged: Staged, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(staged.root / "store" / CACERT, root / "store" / CACERT, symlinks=True)
    empty = replace(staged.closure, manual=None, paths=())
    packed = pack(replace(staged, root=root, closure=empty), tmp_path / "p", date=DATE, level=1)
    assert len(parts(packed)) == 1
    assert {each.name.split("/")[1] for each in members(packed)[1:]} == {CACERT}


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_same_bytes_everywhere(
    packed: Packed, staged: Staged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: threads)
    monkeypatch.setenv("LC_ALL", "C")
    former = os.umask(0o077 if threads == 1 else 0)
    try:
        again = pack(staged, tmp_path / "other", date=DATE, level=3)
    finally:
        os.umask(former)
    assert content(again) == content(packed)


def test_same_bytes_from_another_tarball(packed: Packed, staged: Staged, tmp_path: Path) -> None:
    """Order, hard links, modes and times of the source do not show."""
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
    again = pack(other, tmp_path / "other", date=DATE, level=3)
    assert content(again) == content(packed)


def test_json(packed: Packed, staged: Staged) -> None:
    text = (packed.directory / "closure.json").read_text()
    found = json.loads(text)
    assert text == json.dumps(found, indent=2, sort_keys=True) + "\n"
    paths = found.pop("paths")
    assert found == {
        "schema": 1,
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
        "registration": {
            "name": "closure.reginfo",
            "sha256": sha256_file(packed.directory / "closure.reginfo"),
        },
        "archive": {
            "name": "closure.tar.zst",
            "size": packed.archive_size,
            "parts": [len(part) for part in parts(packed)],
            "sha256": packed.archive_sha256,
        },
        "source": ORIGIN,
    }
    assert [path["path"] for path in paths] == [info.path for info in staged.closure.paths]
    registration = (packed.directory / "closure.reginfo").read_text(encoding="ascii")
    assert registration == (staged.root / ".reginfo").read_text(encoding="ascii")
    (link,) = (path for path in paths if path["path"] == f"/nix/store/{LINK}")
    assert link == {
        "path": f"/nix/store/{LINK}",
        "narHash": hashes.to_sri(hashlib.sha256(nar(Sample().store[LINK])).digest()),
        "narSize": 184,
        "references": [f"/nix/store/{LIBC}"],
    }


def test_size_on_disk(packed: Packed) -> None:
    expected = sum(4096 + -(-each.size // 4096) * 4096 for each in members(packed))
    assert json.loads((packed.directory / "closure.json").read_text())["size"] == expected


def test_env_is_read_by_a_shell(packed: Packed, staged: Staged) -> None:
    file = packed.directory / "closure.env"
    keys = [line.partition("=")[0] for line in file.read_text().splitlines()]
    script = f'set -eu; . "$1"; printf "%s\\n" {" ".join(f"${key}" for key in keys)}'
    done = subprocess.run(
        ["sh", "-c", script.replace("$CLOSURE_MANUAL", '"$CLOSURE_MANUAL"'), "sh", file],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads((packed.directory / "closure.json").read_text())
    assert dict(zip(keys, done.stdout.splitlines(), strict=True)) == {
        "CLOSURE_ID": found["id"],
        "CLOSURE_VERSION": "3.22.1",
        "CLOSURE_SYSTEM": "x86_64-linux",
        "CLOSURE_NIX": f"/nix/store/{NIX}",
        "CLOSURE_CACERT": f"/nix/store/{CACERT}",
        "CLOSURE_MANUAL": f"/nix/store/{MANUAL}",
        "CLOSURE_PROFILE": staged.profile,
        "CLOSURE_PATHS": str(len(staged.closure.paths)),
        "ARCHIVE_BLAKE2B": hashlib.blake2b(packed.archive.read_bytes()).hexdigest(),
        "ARCHIVE_PARTS": ",".join(str(len(part)) for part in parts(packed)),
    }


def test_no_manual(staged: Staged, tmp_path: Path) -> None:
    without = replace(staged, closure=replace(staged.closure, manual=None))
    directory = pack(without, tmp_path / "closure", date=DATE, level=1).directory
    assert "\nCLOSURE_MANUAL=\n" in (directory / "closure.env").read_text()
    assert json.loads((directory / "closure.json").read_text())["manual"] is None


@pytest.mark.parametrize("value", ["/nix/store/a?b", "$(id)", "a b", "a\nb", "~", "é"])
def test_values_that_no_shell_may_see(staged: Staged, tmp_path: Path, value: str) -> None:
    odd = replace(staged, closure=replace(staged.closure, cacert=value))
    with pytest.raises(VerificationError, match="CLOSURE_CACERT: expected a value safe in a shell"):
        pack(odd, tmp_path / "closure", date=DATE, level=1)
    assert list(tmp_path.iterdir()) == []


def test_id_depends_on_paths_and_roles_only(staged: Staged) -> None:
    first = manifest.closure_id(staged.closure)
    assert len(first) == 32
    assert manifest.closure_id(replace(staged.closure, name="x", commands=())) == first
    assert manifest.closure_id(replace(staged.closure, paths=staged.closure.paths[1:])) != first
    assert manifest.closure_id(replace(staged.closure, manual=None)) != first


def test_directory_of_others_is_left_alone(staged: Staged, tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/nix-aurora.spec").touch()
    with pytest.raises(
        UsageError, match=r"expected a directory of its own, got one with nix-aurora\.spec"
    ):
        pack(staged, tmp_path / "sources", date=DATE, level=1)
    assert [entry.name for entry in (tmp_path / "sources").iterdir()] == ["nix-aurora.spec"]


def test_own_directory_is_replaced(staged: Staged, tmp_path: Path) -> None:
    first = content(pack(staged, tmp_path / "closure", date=DATE, level=1))
    assert content(pack(staged, tmp_path / "closure", date=DATE, level=1)) == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["closure"]


def test_sbom(packed: Packed, staged: Staged) -> None:
    document = json.loads((packed.directory / "closure.spdx.json").read_text())
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"]["created"] == "2026-08-01T00:00:00Z"
    assert document["documentNamespace"].endswith(manifest.closure_id(staged.closure))
    packages = {package["SPDXID"]: package for package in document["packages"]}
    assert len(packages) == len(staged.closure.paths)
    assert packages[f"SPDXRef-{LIBC}"]["name"] == "glibc"
    assert packages[f"SPDXRef-{LIBC}"]["versionInfo"] == "2.42"
    assert "versionInfo" not in packages[f"SPDXRef-{LINK}"]
    relations = {
        (each["spdxElementId"], each["relationshipType"], each["relatedSpdxElement"])
        for each in document["relationships"]
    }
    assert ("SPDXRef-DOCUMENT", "DESCRIBES", f"SPDXRef-{NIX}") in relations
    assert (f"SPDXRef-{LINK}", "DEPENDS_ON", f"SPDXRef-{LIBC}") in relations
    assert (f"SPDXRef-{CLI}", "DEPENDS_ON", f"SPDXRef-{CLI}") not in relations
