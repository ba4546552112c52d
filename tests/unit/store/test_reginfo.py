import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix_aurora.errors import VerificationError
from nix_aurora.store import hashes, reginfo
from nix_aurora.store.reginfo import PathInfo

A = "/nix/store/" + "a" * 32 + "-a"
B = "/nix/store/" + "b" * 32 + "-b-1.0"
DRV = "/nix/store/" + "d" * 32 + "-a.drv"
HASH = hashes.to_nix(bytes(32))
HEX = "sha256:" + "0" * 64

PATHS = st.builds(
    "/nix/store/{}-{}".format,
    st.binary(min_size=20, max_size=20).map(hashes.to_base32),
    st.text("abcXYZ019+-._?=", min_size=1, max_size=20).filter(lambda name: name[0] != "."),
)
INFOS = st.builds(
    PathInfo,
    PATHS,
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**62),
    st.sets(PATHS, max_size=4).map(lambda paths: tuple(sorted(paths))),
    st.one_of(st.just(""), PATHS),
)


@given(st.lists(INFOS, unique_by=lambda info: info.path, min_size=1))
def test_rendered_registration_is_parsed_back(infos: list[PathInfo]) -> None:
    text = reginfo.render(infos)
    assert reginfo.parse(text) == sorted(infos, key=lambda info: info.path)
    assert reginfo.render(reversed(infos)) == text


def test_order_and_spelling_may_differ() -> None:
    text = f"{B}\n{HEX}\n120\n{DRV}\n2\n{B}\n{A}\n{A}\n{HASH}\n0\n\n0\n"
    first, second = reginfo.parse(text)
    assert first == PathInfo(B, bytes(32), 120, (B, A), DRV)
    assert second == PathInfo(A, bytes(32), 0, (), "")
    assert first.name == "b" * 32 + "-b-1.0"
    assert reginfo.render([first, second]) == (
        f"{A}\n{HASH}\n0\n\n0\n{B}\n{HASH}\n120\n{DRV}\n2\n{A}\n{B}\n"
    )


@pytest.mark.parametrize(
    "spelled",
    [
        "00" * 32,
        "0" * 52,
        "A" * 43 + "=",
        HEX,
        HASH,
        f"sha256:{'A' * 43}=",
        f"sha256-{'A' * 43}=",
        f"sha256-{'A' * 43}",
    ],
)
def test_each_spelling_of_a_hash_is_parsed(spelled: str) -> None:
    (info,) = reginfo.parse(f"{A}\n{spelled}\n120\n\n0\n")
    assert info.nar_hash == bytes(32)


def test_many_empty_lines_take_no_memory() -> None:
    text = f"{A}\n" + "\n" * (8 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(VerificationError):
            reginfo.parse(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a newline at the end, got no text"),
        ("\n", "line 1: expected a store path, got ''"),
        (f"{A}\n{HASH}\n1\n\n0", "line 5: expected a newline at the end, got none"),
        (f"{A}\n{HASH}\n1\n\n0\n\n", "line 6: expected a store path, got ''"),
        (f"\n{A}\n{HASH}\n1\n\n0\n", "line 1: expected a store path, got ''"),
        (f"{A}\r\n{HASH}\n1\n\n0\n", f"line 1: expected a store path, got '{A}\\r'"),
        (f"{A}\n", f"line 2: {A}: expected the NAR hash, got the end"),
        (f"{A}\n{HASH}\n", f"line 3: {A}: expected the NAR size, got the end"),
        (f"{A}\n{HASH}\n1\n", f"line 4: {A}: expected the deriver, got the end"),
        (f"{A}\n{HASH}\n1\n\n", f"line 5: {A}: expected the number of references, got the end"),
        (f"{A}\n{HASH}\n1\n\n1\n", f"line 6: {A}: expected a reference, got the end"),
        (
            f"{A}\n\n1\n\n0\n",
            f"line 2: {A}: malformed SHA-256 '': expected 64, 52 or 44 characters, got 0",
        ),
        (
            f"\x1b]0;title\x07\u202e\n{HASH}\n1\n\n0\n",
            r"line 1: expected a store path, got '\x1b]0;title\x07\u202e'",
        ),
        (
            f"{A}\n{'x' * 10_000}\n1\n\n0\n",
            f"line 2: {A}: malformed SHA-256 '{'x' * 199}…': "
            "expected 64, 52 or 44 characters, got 10000",
        ),
        (
            f"{A}\nsha256:{'e' * 52}\n1\n\n0\n",
            f"line 2: {A}: malformed SHA-256 'sha256:{'e' * 52}': "
            "'e' is not in Nix's base32 alphabet",
        ),
        (
            f"{A}\n{HASH}\n-1\n\n0\n",
            f"line 3: {A}: expected the NAR size as a plain decimal, got '-1'",
        ),
        (
            f"{A}\n{HASH}\n01\n\n0\n",
            f"line 3: {A}: expected the NAR size as a plain decimal, got '01'",
        ),
        (
            f"{A}\n{HASH}\n٣\n\n0\n",
            f"line 3: {A}: expected the NAR size as a plain decimal, got '٣'",
        ),
        (
            f"{A}\n{HASH}\n1\n\n+1\n",
            f"line 5: {A}: expected the number of references as a plain decimal, got '+1'",
        ),
        (
            f"{A}\n{HASH}\n1\nunknown-deriver\n0\n",
            f"line 4: {A}: expected a deriver or an empty line, got 'unknown-deriver'",
        ),
        (
            f"{A}\n{HASH}\n1\n\n1\n/etc/passwd\n",
            f"line 6: {A}: expected a store path as reference, got '/etc/passwd'",
        ),
        (
            f"{A}\n{HASH}\n1\n\n2\n{B}\n{B}\n",
            f"line 7: {A}: expected each reference once, got {B} a second time",
        ),
        (
            f"{A}\n{HASH}\n1\n\n0\n{A}\n{HASH}\n1\n\n0\n",
            f"line 10: {A}: expected each path once, got it a second time",
        ),
    ],
)
def test_malformed_registration_is_refused(text: str, message: str) -> None:
    with pytest.raises(VerificationError) as caught:
        reginfo.parse(text)
    assert str(caught.value) == f"cannot read the registration: {message}"
