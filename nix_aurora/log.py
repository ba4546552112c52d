"""Print steps, details and progress on stderr; results go to stdout instead.

Every line may contain text from outside: names in an archive, a server's answer, a tool's output.
So everything that is printed here passes ``_line``, which escapes it and limits its length.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from nix_aurora.text import printable

_LONGEST = 8000  # characters of a line: rpmbuild's command has about 1,000


class Level(IntEnum):
    """The amount of output: -q, the default, or -v."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


# rich omits color and animation if stderr is not a terminal or NO_COLOR is set.
_console = Console(stderr=True, highlight=False, soft_wrap=True)
_level = Level.NORMAL


def configure(level: Level) -> None:
    """Set the amount of output for the rest of the run; use the current sys.stderr."""
    global _console, _level  # noqa: PLW0603 - one process, one terminal
    _console = Console(stderr=True, highlight=False, soft_wrap=True)
    _level = level


def info(message: str) -> None:
    """Print one line, unless -q."""
    if _level >= Level.NORMAL:
        _console.print(_line(message))


def detail(message: str) -> None:
    """Print one line, with -v only."""
    if _level >= Level.VERBOSE:
        _console.print(Text.assemble("  ", (_shown(message), "dim")))


def warn(message: str) -> None:
    """Print one line, always."""
    _console.print(_line(message, "warning:", "yellow"))


def error(message: str, hint: str | None = None, details: Iterable[str] = ()) -> None:
    """Print the error that ended the run, each of ``details`` on a line, and the next step."""
    _console.print(_line(message, "error:", "red"))
    for detail_ in details:
        _console.print(_line(detail_))
    if hint:
        _console.print(_line(hint, "hint:", "bold"))


def _line(text: str, label: str = "", style: str = "") -> Text:
    """Return ``text`` as one line that a terminal and rich show unchanged."""
    return Text.assemble((label, style), " " if label else "", _shown(text))


def _shown(text: str) -> str:
    return printable(text, _LONGEST)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print the title of a stage of the work before it, and its duration after it."""
    info(f"{title} ...")
    start = time.monotonic()
    yield
    info(f"{title}: done in {time.monotonic() - start:.1f} s")


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar over ``total`` bytes; yield a function that takes the number of new bytes.

    Nothing is drawn if stderr is not a terminal or NO_COLOR is set.
    """
    if _level == Level.QUIET or not _is_drawn():
        yield lambda _done: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_console, transient=True) as bar:
        task = bar.add_task(escape(_shown(title)), total=total)
        yield lambda done: bar.update(task, advance=done)


@contextmanager
def states(title: str) -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Show the states of several things; yield a function that takes the current states by name.

    On a terminal this is a table that is updated in place; elsewhere it prints a line for each
    change.
    """
    known: dict[str, str] = {}

    def lines(current: Mapping[str, str]) -> None:
        for name, state in current.items():
            if known.get(name) != state:
                info(f"{title}: {name}: {state}")
        known.update(current)

    if _level == Level.QUIET or not _is_drawn():
        yield lines
        return
    with Live(console=_console, auto_refresh=False) as live:
        yield lambda current: live.update(_table(title, current), refresh=True)


def _table(title: str, current: Mapping[str, str]) -> Table:
    table = Table(title=_line(title), title_justify="left", show_header=False)
    for name, state in current.items():
        color = {"succeeded": "green", "failed": "red", "canceled": "red"}.get(state, "yellow")
        table.add_row(_line(name), Text(_shown(state), color))
    return table


def _is_drawn() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
