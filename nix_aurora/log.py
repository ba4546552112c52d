"""What the user sees on stderr: steps, details, progress. Results go to stdout instead."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class Level(IntEnum):
    """How much is told: -q, nothing, -v."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


# rich leaves colour and animation away where stderr is no terminal or NO_COLOR is set.
_console = Console(stderr=True, highlight=False, soft_wrap=True)
_level = Level.NORMAL


def configure(level: Level) -> None:
    """Set how much the rest of the run tells; binds to the present sys.stderr."""
    global _console, _level  # noqa: PLW0603 - one process, one terminal
    _console = Console(stderr=True, highlight=False, soft_wrap=True)
    _level = level


def info(message: str) -> None:
    """Say one line, unless -q."""
    if _level >= Level.NORMAL:
        _console.print(escape(message))


def detail(message: str) -> None:
    """Say one line with -v only."""
    if _level >= Level.VERBOSE:
        _console.print(f"  [dim]{escape(message)}[/dim]")


def warn(message: str) -> None:
    """Say one line, always."""
    _console.print(f"[yellow]warning:[/yellow] {escape(message)}")


def error(message: str, hint: str | None = None) -> None:
    """Say what ended the run, and what to do next."""
    _console.print(f"[red]error:[/red] {escape(message)}")
    if hint:
        _console.print(f"[bold]hint:[/bold] {escape(hint)}")


@contextmanager
def step(title: str) -> Iterator[None]:
    """Frame a stage of the work: its title before, its duration after."""
    info(f"{title} ...")
    start = time.monotonic()
    yield
    info(f"{title}: done in {time.monotonic() - start:.1f} s")


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar over ``total`` bytes; yields a function that takes the bytes newly done.

    On anything but a terminal, or with NO_COLOR set, nothing is drawn.
    """
    if _level == Level.QUIET or not sys.stderr.isatty() or os.environ.get("NO_COLOR"):
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
        task = bar.add_task(escape(title), total=total)
        yield lambda done: bar.update(task, advance=done)
