import io
import sys
from collections.abc import Iterator

import pytest

from nix_aurora import log
from nix_aurora.log import Level


class Terminal(io.StringIO):
    """A stderr that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TERM", "xterm-256color")
    for variable in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)
    yield
    monkeypatch.undo()
    log.configure(Level.NORMAL)


def told(stream: io.StringIO, level: Level, monkeypatch: pytest.MonkeyPatch) -> str:
    """Print one message of each kind, and return the output."""
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure(level)
    log.info("an [info]")
    log.detail("a [detail]")
    log.warn("a [warning]")
    log.error("an [error]", hint="a [hint]")
    with log.progress("a [bar]", 10) as done:
        done(10)
    return stream.getvalue()


def test_levels_select_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    rest = "warning: a [warning]\nerror: an [error]\nhint: a [hint]\n"
    assert told(io.StringIO(), Level.QUIET, monkeypatch) == rest
    assert told(io.StringIO(), Level.NORMAL, monkeypatch) == "an [info]\n" + rest
    assert told(io.StringIO(), Level.VERBOSE, monkeypatch) == "an [info]\n  a [detail]\n" + rest


def test_terminal_gets_color(monkeypatch: pytest.MonkeyPatch) -> None:
    text = told(Terminal(), Level.NORMAL, monkeypatch)
    assert "\x1b[31merror:\x1b[0m an [error]" in text
    assert "a [bar]" in text


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = told(Terminal(), Level.NORMAL, monkeypatch)
    assert "\x1b[3" not in text
    assert "error: an [error]\n" in text


def test_nothing_is_drawn_when_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "a [bar]" not in told(Terminal(), Level.QUIET, monkeypatch)


def test_step_has_title_and_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure(Level.NORMAL)
    with log.step("Doing it"):
        stream.write("inside\n")
    assert stream.getvalue().splitlines()[:2] == ["Doing it ...", "inside"]
    assert stream.getvalue().splitlines()[2].startswith("Doing it: done in 0.")


def test_stdout_has_only_results(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Level.VERBOSE)
    log.info("x")
    log.error("x")
    assert capsys.readouterr().out == ""


def shown(stream: io.StringIO, level: Level, monkeypatch: pytest.MonkeyPatch) -> str:
    """Show two states of two things, and return the output."""
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure(level)
    with log.states("a [title]") as show:
        show({"one": "running", "two": "pending"})
        show({"one": "[odd]", "two": "pending"})
    return stream.getvalue()


def test_each_change_of_state_is_a_line_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log cannot overwrite an earlier line."""
    assert shown(io.StringIO(), Level.NORMAL, monkeypatch) == (
        "a [title]: one: running\na [title]: two: pending\na [title]: one: [odd]\n"
    )
    assert shown(io.StringIO(), Level.QUIET, monkeypatch) == ""


def test_states_are_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Terminal(), Level.NORMAL, monkeypatch)
    first, second = text.index("running"), text.index("[odd]")
    assert first < second
    assert "\x1b[1A" in text[first:second], "expected the second table to be drawn over the first"
    assert "a [title]: one" not in text
    assert shown(Terminal(), Level.QUIET, monkeypatch) == ""
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown(Terminal(), Level.NORMAL, monkeypatch).startswith("a [title]: one: running\n")
