import pytest

from nix_aurora.store.paths import STORE, is_store_path, split_name

A = f"{STORE}/{'a' * 32}-a"


@pytest.mark.parametrize(
    "path",
    [
        "/nix/store/" + "a" * 32,
        "/nix/store/" + "a" * 32 + "-",
        "/nix/store/" + "a" * 31 + "-a",
        "/nix/store/" + "u" * 32 + "-a",
        "/nix/store/" + "a" * 32 + "-.a",
        "/nix/store/" + "a" * 32 + "-a/b",
        "/nix/store/" + "a" * 32 + "-a b",
        "/nix/store/" + "a" * 32 + "-\u00e9",
        "/nix/store/" + "a" * 32 + "-" + "a" * 212,
        "/gnu/store/" + "a" * 32 + "-a",
        A + "\n",
        "",
    ],
)
def test_invalid_store_path_is_refused(path: str) -> None:
    assert not is_store_path(path)


def test_longest_name_is_accepted() -> None:
    assert is_store_path("/nix/store/" + "a" * 32 + "-" + "a" * 211)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("glibc-2.42-61", ("glibc", "2.42-61")),
        ("nss-cacert-3.115", ("nss-cacert", "3.115")),
        ("determinate-nix-3.22.1", ("determinate-nix", "3.22.1")),
        ("builder.sh", ("builder.sh", "")),
        ("libc-link", ("libc-link", "")),
        ("gcc-15.2.0-lib", ("gcc", "15.2.0-lib")),
        ("a-", ("a-", "")),
    ],
)
def test_names_are_split_as_nix_splits_them(name: str, expected: tuple[str, str]) -> None:
    assert split_name(f"{STORE}/{'0' * 32}-{name}") == expected
