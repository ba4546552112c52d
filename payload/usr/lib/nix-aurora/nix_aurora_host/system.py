"""The door to the system: commands, files and links. Nothing here changes anything."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.facts import Person

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
NOT_STARTED = 127
TIMED_OUT = 124
_MAX_LINKS = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left."""

    code: int
    stdout: str
    stderr: str


def run(
    command: Sequence[str],
    *,
    timeout: float = 20,
    person: Person | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a command to its end, without a terminal and with an environment of its own.

    As ``person``, where that is somebody else. Code 127 means that it could not be started, 124
    that it took longer than ``timeout`` seconds.
    """
    identity: dict[str, object] = {}
    if person is not None and os.geteuid() == 0 and person.uid != 0:
        groups = os.getgrouplist(person.name, person.gid)
        identity = {"user": person.uid, "group": person.gid, "extra_groups": groups}
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            env={"PATH": PATH, "LANG": "C.UTF-8", **(environment or {})},
            cwd="/",
            start_new_session=True,  # a shell must not take the terminal
            **identity,  # type: ignore[call-overload] # typed one by one in subprocess
        )
    except subprocess.TimeoutExpired:
        return Outcome(TIMED_OUT, "", f"{command[0]}: no answer within {timeout:g} s")
    except OSError as error:
        return Outcome(NOT_STARTED, "", f"{command[0]}: {error.strerror}")
    return Outcome(
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
    )


def read(path: str) -> str | None:
    """Give a file's text, or None where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def names(path: str) -> tuple[str, ...] | None:
    """Give what a directory has, sorted: nothing where there is none, None where it is closed."""
    try:
        return tuple(sorted(entry.name for entry in Path(path).iterdir()))
    except FileNotFoundError:
        return ()
    except OSError:
        return None


def link(path: str) -> str | None:
    """Give where a link leads, or None for anything else."""
    try:
        return str(Path(path).readlink())
    except OSError:
        return None


def resolve(path: str) -> str | None:
    """Follow every link as a process would that sees the store, whatever is there now.

    Links of the packaged closure lead to /nix/store in every layout.

    Gives the path below /var/lib/nix or elsewhere, or None where it leads nowhere.
    """
    done, pending, links = "", path.split("/")[::-1], 0
    while pending:
        part = pending.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        done = f"{done}/{part}"
        if done == "/nix/store":
            done = paths.STORE
        done = paths.physical(done)
        if (target := link(done)) is not None:
            links += 1
            if links > _MAX_LINKS:
                return None
            done = "" if target.startswith("/") else done.rpartition("/")[0]
            pending += target.split("/")[::-1]
    return done if os.path.lexists(done or "/") else None
