"""Run other programs; no other module does."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from nix_aurora import log
from nix_aurora.errors import ToolError
from nix_aurora.text import command as as_command

_TAIL = 64 << 10  # bytes at the end of a log that go into an error
_TAIL_LINES = 15


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log_file: Path | None = None,
) -> str:
    """Run ``command`` to its end and return its stdout.

    ``env`` is added to our own environment. With ``log_file``, stdout and stderr go there, and the
    result is empty. Raises ToolError, with the command ready to paste, if the program is missing or
    exits non-zero.
    """
    argv = [str(word) for word in command]
    log.detail(as_command(argv))
    environment = {**os.environ, **(env or {})}
    try:
        if log_file is None:
            done = subprocess.run(
                argv,
                cwd=cwd,
                env=environment,
                capture_output=True,
                encoding="utf-8",
                errors="backslashreplace",
                check=False,
            )
            output = done.stderr or done.stdout
        else:
            with log_file.open("w", encoding="utf-8") as sink:
                done = _run_into(sink, argv, cwd, environment)
            output = _read_tail(log_file)
    except OSError as error:
        raise ToolError(f"cannot start {argv[0]}: {error.strerror}", hint="make setup") from error
    if done.returncode != 0:
        tail = output.strip().splitlines()[-_TAIL_LINES:]
        where = [f"log: {log_file}"] if log_file else []
        raise ToolError(
            f"cannot run {argv[0]}: expected exit code 0, got {done.returncode}",
            details=[*tail, f"command: {as_command(argv)}", *where],
        )
    return done.stdout or ""


def _read_tail(log_file: Path) -> str:
    with log_file.open("rb") as file:
        file.seek(max(0, log_file.stat().st_size - _TAIL))
        return file.read().decode(errors="backslashreplace")


def _run_into(
    sink: TextIO, argv: Sequence[str], cwd: Path | None, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a build; end all its processes on an interrupt, or they would continue to write."""
    with subprocess.Popen(
        argv, cwd=cwd, env=env, stdout=sink, stderr=subprocess.STDOUT, process_group=0
    ) as process:
        try:
            code = process.wait()
        except BaseException:
            with suppress(ProcessLookupError):  # it may have ended just now
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(list(argv), code)
