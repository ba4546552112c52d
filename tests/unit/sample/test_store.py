"""Test names, references and registration of store paths."""

import hashlib
from pathlib import Path

import pytest

from nix_aurora.errors import VerificationError
from nix_aurora.store.nar import NarHash
from sample import store
from sample.store import Plan, Registration

_ONE = "0c6ic9hv9fsa0yg5gsmpjy8fyf2axhpi-one"
_TWO = "qa1w9gdfrba6jl2r57mb3c43863gqywp-two"


def test_base_name_is_the_same_as_nixs() -> None:
    digest = hashlib.sha256(b"hello\n").digest()
    # nix-instantiate --eval -E 'builtins.toFile "hello.txt" "hello\n"', Nix 2.34.8
    expected = "qa1w9gdfrba6jl2r57mb3c43863gqywp-hello.txt"
    assert store.base_name("text", digest, "hello.txt") == expected


def test_inputs_are_named_first_and_change_the_names_of_dependents() -> None:
    def names(glibc: str) -> dict[str, str]:
        return store.assign(
            {
                "zlib": Plan("zlib-1", "z", frozenset({"glibc"})),
                "nix": Plan("nix-2", "n", frozenset({"zlib", "glibc"})),
                "glibc": Plan("glibc-3", glibc, frozenset()),
                "cacert": Plan("cacert-4", "c", frozenset()),
            }
        )

    one, other = names("one"), names("other")
    assert list(one).index("glibc") < list(one).index("zlib") < list(one).index("nix")
    assert one == names("one")
    assert {key for key in one if one[key] != other[key]} == {"glibc", "zlib", "nix"}
    assert one["zlib"].endswith("-zlib-1")


def test_cycle_is_refused() -> None:
    plans = {"a": Plan("a", "", frozenset({"b"})), "b": Plan("b", "", frozenset({"a"}))}
    with pytest.raises(VerificationError, match="cycle"):
        store.assign(plans)


def test_references_are_found_in_contents_links_and_across_pieces(tmp_path: Path) -> None:
    names = [_ONE, _TWO, "8p7f5za3ir3zxklvx9bqncks377nxval-three"]
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(f"/nix/store/{_TWO}/bin/x")
    (tree / "big").write_bytes(b"." * ((1 << 20) - 10) + _ONE.encode())
    assert store.references(tree, names) == [_ONE, _TWO]
    file = tmp_path / "file"
    file.write_text("nothing")
    assert store.references(file, names) == []


def test_path_is_among_its_own_references(tmp_path: Path) -> None:
    (tmp_path / _ONE).write_text(f"/nix/store/{_ONE} /nix/store/{_TWO}")
    (tmp_path / _TWO).symlink_to("/elsewhere")
    one, two = store.register(tmp_path)
    assert (one.name, one.references) == (_ONE, (_ONE, _TWO))
    assert (two.name, two.references) == (_TWO, ())


def test_reginfo_has_nixs_format() -> None:
    registrations = [
        Registration(_ONE, NarHash(bytes(32), 120), (_ONE, _TWO)),
        Registration(_TWO, NarHash(bytes(32), 96), ()),
    ]
    digest = "sha256:" + "0" * 52
    assert store.reginfo(registrations) == (
        f"/nix/store/{_ONE}\n{digest}\n120\n\n2\n/nix/store/{_ONE}\n/nix/store/{_TWO}\n"
        f"/nix/store/{_TWO}\n{digest}\n96\n\n0\n"
    )
