"""Time commands, and define a figure."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from nix_aurora.errors import ToolError
from tests.harness.system import System

Command = Sequence[str | Path]


@dataclass(frozen=True)
class Figure:
    """A measured figure: ``ours`` and ``floor`` are medians in ``unit``, ``peak`` is in bytes."""

    name: str
    ours: float
    floor: float | None
    unit: str
    target: str
    floor_is: str = ""
    peak: int | None = None


def run(command: Command) -> tuple[float, int]:
    """Run ``command``; return its seconds, and the peak memory in bytes of its first process."""
    start = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise ToolError(f"measuring: {command[0]}: expected exit code 0, got {process.returncode}")
    return seconds, usage.ru_maxrss * 1024  # Linux counts in KiB


def medians(times: int, *commands: Command) -> list[float]:
    """Run the commands alternately, ``times`` each, and return the median seconds of each."""
    results: list[list[float]] = [[] for _ in commands]
    for _ in range(times):
        for command, seconds in zip(commands, results, strict=True):
            seconds.append(run(command)[0])
    return [median(seconds) for seconds in results]


def unit_seconds(system: System, unit: str) -> float:
    """Return the seconds from the start of a unit until it was active."""
    text = system.run(
        f"systemctl show {unit} --property=InactiveExitTimestampMonotonic,"
        "ActiveEnterTimestampMonotonic --value"
    ).stdout
    exited, entered = sorted(int(value) for value in text.split())
    return (entered - exited) / 1e6


def machine() -> str:
    """Return a description of this machine in one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        os.uname().machine,
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{os.cpu_count()} cores, {model}, {memory} GiB, Linux {os.uname().release}"
