"""Test reading the package's own files: closure.json, closure.env, and their store paths."""

import json
import shutil
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.gather import closure as gather
from nix_aurora_host.gather.closure import (
    Packaged,
    find_differing,
    parse_closure,
    parse_environment,
)
from nix_aurora_host.gather.damage import find_damaged

from tests.unit.host.importer.importing import (
    CACERT,
    FILE,
    LIB,
    NAMES,
    NIX,
    PROFILE,
    Package,
    make_package,
)

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
    "manual": None,
    "profile": _PROFILE,
    "paths": [
        {"path": path, "narHash": f"sha256-{'A' * 43}=", "narSize": 7, "references": []}
        for path in (_NIX, _CACERT, _PROFILE)
    ],
}
_ENV = f"""\
CLOSURE_ID=a9553f15036b51f10dd7d341b84a37a5
CLOSURE_VERSION=2.34.8
CLOSURE_SYSTEM=x86_64-linux
CLOSURE_NIX={_NIX}
CLOSURE_CACERT={_CACERT}
CLOSURE_MANUAL=
CLOSURE_PROFILE={_PROFILE}
"""


def test_accepted_advisories_are_read() -> None:
    assert parse_closure(json.dumps(_JSON)).accepted == ()
    accepted = json.dumps({**_JSON, "acceptedAdvisories": ["GHSA-a"]})
    assert parse_closure(accepted).accepted == ("GHSA-a",)


def test_description_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    closure = parse_closure(json.dumps(_JSON))
    assert (closure.nix, closure.paths) == (_NIX, (_NIX, _CACERT, _PROFILE))
    assert closure.contents[_NIX.removeprefix("/nix/store/")] == (bytes(32), 7)
    monkeypatch.setattr(paths, "PREFIX", "/run/nix/store")
    assert parse_closure(json.dumps(_JSON)).cacert == f"/run{_CACERT}"


@pytest.mark.parametrize("text", ["", "[]", "{}", '"x"', json.dumps({**_JSON, "paths": None})])
def test_damaged_description_is_an_error_of_a_known_kind(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        parse_closure(text)


def _differing(text: str) -> tuple[str, ...]:
    return find_differing(parse_environment(text), _JSON)


def test_environment_file_is_compared_with_the_description() -> None:
    assert _differing(_ENV) == ()
    assert len(_differing("")) == len(_ENV.splitlines())


@pytest.mark.parametrize(
    ("text", "damaged", "name"),
    [
        ("CLOSURE_ID=a", "CLOSURE_ID=b", "CLOSURE_ID"),
        ("nix-2.34.8", "nix-2.34.9", "CLOSURE_NIX"),
        ("user-env", "user-enw", "CLOSURE_PROFILE"),
        ("MANUAL=", "MANUAL=/nix/store/x", "CLOSURE_MANUAL"),
        ("x86_64", "x86-64", "CLOSURE_SYSTEM"),
        ("CLOSURE_NIX=", "CLOSURE_NIY=", "CLOSURE_NIX"),
    ],
)
def test_flipped_byte_in_the_environment_file_is_named(text: str, damaged: str, name: str) -> None:
    assert _differing(_ENV.replace(text, damaged)) == (name,)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Return an intact package."""
    package = make_package(tmp_path, monkeypatch)
    roles = {"nix": NIX, "cacert": CACERT, "profile": PROFILE}
    values = {f"CLOSURE_{role.upper()}": f"/nix/store/{name}" for role, name in roles.items()}
    values |= {"CLOSURE_ID": package.closure.id, "CLOSURE_MANUAL": "", "CLOSURE_VERSION": "2.34"}
    values |= {"CLOSURE_SYSTEM": "x86_64-linux"}
    (tmp_path / "closure.env").write_text("".join(f"{k}={v}\n" for k, v in values.items()))
    monkeypatch.setattr(paths, "ENVIRONMENT", f"{tmp_path}/closure.env")
    return package


def test_intact_package_has_no_damage(package: Package) -> None:
    packaged = gather.gather_packaged(gather.gather_closure())
    assert packaged == Packaged()
    assert packaged.whole


def test_difference_from_the_package_is_named(package: Package) -> None:
    (package.store / LIB / "bin/nix").write_text("damaged")
    (package.store / FILE).unlink()
    (package.store / "more").touch()
    Path(paths.ENVIRONMENT).write_text("")
    content = json.loads(Path(paths.DESCRIPTION).read_text())
    Path(paths.DESCRIPTION).write_text(json.dumps({**content, "id": "another"}))
    packaged = gather.gather_packaged(gather.gather_closure())
    assert set(packaged.damaged) == {FILE, LIB}
    assert packaged.damaged[FILE] == "No such file or directory"
    assert packaged.damaged[LIB].startswith("expected a NAR of ")
    assert packaged.foreign == ("more",)
    assert len(packaged.differing) == 7
    assert not packaged.described
    assert not packaged.whole


def test_package_without_a_store_is_completely_damaged(package: Package) -> None:
    shutil.rmtree(package.store)
    assert set(gather.gather_packaged(gather.gather_closure()).damaged) == NAMES


def _tree(top: Path) -> Path:
    path = top / "store" / "x"
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "program").write_bytes(b"\x7fELF")
    (path / "bin" / "program").chmod(0o555)
    (path / "empty").touch()
    (path / "a b").write_bytes(b"12345678")
    (path / "link").symlink_to("bin/../missing")
    return path


def test_content_that_differs_from_its_registration_is_named(
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
