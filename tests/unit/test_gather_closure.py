"""The package's own files: closure.json, closure.env, and the store paths that they name."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.facts import Archive
from nix_aurora_host.gather import closure as gather
from nix_aurora_host.gather.closure import find_differing, parse_closure, parse_environment
from nix_aurora_host.gather.damage import find_damaged

_NIX, _CACERT, _PROFILE = (
    f"/nix/store/{letter * 32}-{name}"
    for letter, name in (("a", "nix-2.34.8"), ("b", "nss-cacert-1"), ("c", "user-environment"))
)
_JSON = {
    "id": "a9553f15036b51f10dd7d341b84a37a5",
    "version": "2.34.8",
    "system": "x86_64-linux",
    "nix": _NIX,
    "cacert": _CACERT,
    "archive": {"size": 30, "sha256": "digest"},
    "registration": {"sha256": "registered"},
    "paths": [{"path": path} for path in (_NIX, _CACERT, _PROFILE)],
}
_ENV = f"""\
CLOSURE_ID=a9553f15036b51f10dd7d341b84a37a5
CLOSURE_NIX={_NIX}
CLOSURE_MANUAL=
CLOSURE_PROFILE={_PROFILE}
ARCHIVE_PARTS=10,20
"""
_EXPECTED = {"CLOSURE_ID": _JSON["id"], "CLOSURE_NIX": _NIX}


def test_the_description_is_parsed() -> None:
    closure = parse_closure(json.dumps(_JSON))
    assert (closure.nix, closure.archive_size, closure.paths) == (
        _NIX,
        30,
        (_NIX, _CACERT, _PROFILE),
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '"x"', json.dumps({**_JSON, "archive": None})])
def test_a_damaged_description_is_an_error_of_a_known_kind(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        parse_closure(text)


def _differing(text: str) -> tuple[str, ...]:
    expected: Mapping[str, str] = {name: str(value) for name, value in _EXPECTED.items()}
    return find_differing(parse_environment(text), expected, parse_closure(json.dumps(_JSON)))


def test_the_environment_file_is_compared_with_the_description() -> None:
    assert _differing(_ENV) == ()
    assert _differing("") == ("CLOSURE_ID", "CLOSURE_NIX", "CLOSURE_PROFILE", "ARCHIVE_PARTS")


@pytest.mark.parametrize(
    ("text", "damaged", "name"),
    [
        ("CLOSURE_ID=a", "CLOSURE_ID=b", "CLOSURE_ID"),
        ("2.34.8", "2.34.9", "CLOSURE_NIX"),
        ("user-env", "user-enw", "CLOSURE_PROFILE"),
        ("MANUAL=", "MANUAL=/nix/store/x", "CLOSURE_MANUAL"),
        ("10,20", "10,21", "ARCHIVE_PARTS"),
        ("10,20", "10;20", "ARCHIVE_PARTS"),
        ("CLOSURE_NIX=", "CLOSURE_NIY=", "CLOSURE_NIX"),
    ],
)
def test_a_flipped_byte_of_the_environment_file_is_named(
    text: str, damaged: str, name: str
) -> None:
    assert _differing(_ENV.replace(text, damaged)) == (name,)


def test_the_archive_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(b"x" * 30)
    sums = [
        subprocess.run([tool, archive], capture_output=True, check=True, text=True).stdout.split()[
            0
        ]
        for tool in ("sha256sum", "b2sum")
    ]
    assert gather._measure(str(archive)) == (30, *sums)
    assert gather._measure(f"{tmp_path}/none") == (None, None, None)
    monkeypatch.setattr(paths, "ARCHIVE", str(archive))
    monkeypatch.setattr(paths, "REGISTRATION", f"{tmp_path}/none")
    monkeypatch.setattr(paths, "PACKAGE", f"{tmp_path}/none")
    closure = parse_closure(json.dumps(_JSON))
    found = gather.gather_archive(closure)
    assert found == Archive(30, sums[0], None, found.differing)
    assert "CLOSURE_ID" in found.differing
    assert not found.is_of(closure)


def _tree(top: Path) -> Path:
    path = top / "store" / "x"
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "program").write_bytes(b"\x7fELF")
    (path / "bin" / "program").chmod(0o555)
    (path / "empty").touch()
    (path / "a b").write_bytes(b"12345678")
    (path / "link").symlink_to("bin/../missing")
    return path


def test_content_that_is_not_as_registered_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _tree(tmp_path)
    monkeypatch.setattr(paths, "SHOWN", str(tmp_path))
    registered = [("/nix/store/x", f"sha256:{_HASH}", _SIZE), ("/nix/store/none", "sha256:0", 1)]
    assert find_damaged(registered) == ()
    assert find_damaged([("/nix/store/x", "md5:0", _SIZE)]) == ()
    assert find_damaged([("/nix/store/x", "sha256:0", _SIZE)]) == ("/nix/store/x",)
    (path / "bin" / "program").chmod(0o444)
    assert find_damaged(registered) == ("/nix/store/x",)
    (path / "bin" / "program").unlink()
    (path / "bin" / "program").mkdir()
    assert find_damaged(registered) == ("/nix/store/x",)


# Recorded from nix-hash --type sha256 --base16 of Nix 2.34.8, and nix-store --dump | wc -c.
_SIZE = 1064
_HASH = "ed5ae0a74feb8adde4bbc41b537d17d87bb8cb65b40aa5869e1fa4a1c2205260"
