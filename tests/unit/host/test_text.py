"""Test that text from outside cannot control a terminal, and that commands run their words."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nix_aurora_host.text import LIMIT, command, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcode and 'quotes'", "plain, ünïcode and 'quotes'"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u202eb\u2066c\u200fd\ufeff", r"a\u202eb\u2066c\u200fd\ufeff"),
        ("line\u2028separator", r"line\u2028separator"),
        ("\udcff\udc80", r"\xff\x80"),
        ("tag\U000e0041", r"tag\U000e0041"),
    ],
)
def test_special_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut() -> None:
    assert printable("x" * LIMIT) == "x" * LIMIT
    assert printable("x" * (LIMIT + 1)) == "x" * (LIMIT - 1) + "…"
    assert printable("x" * 5000, limit=None) == "x" * 5000


@given(st.text())
def test_any_text_becomes_one_printable_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()  # this raises UnicodeEncodeError if a surrogate is left
    assert len(shown) <= 10 * LIMIT


@settings(deadline=None)  # each example starts a process, on a machine that may be busy
@given(
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5)
)
def test_bash_reads_the_words_of_a_command(words: list[str]) -> None:
    line = command(["printf", "%s\\0", *words])
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode() == "".join(f"{word}\0" for word in words or [""])
