"""Access to the system: commands, files and links. Nothing here changes the host."""

import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.person import Person

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
NOT_STARTED = 127
TIMED_OUT = 124
TOO_MUCH = 125
_MAX_LINKS = 64
_MAX_OUTPUT = 8 << 20  # bytes of each stream


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a command."""

    code: int
    stdout: str
    stderr: str


def run(
    command: Sequence[str],
    *,
    timeout: float = 20,
    limit: int = _MAX_OUTPUT,
    memory: int | None = None,
    person: Person | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a command until it ends, without a terminal and with its own environment.

    Run it as ``person`` if that is another user. ``limit`` is how many bytes it may print,
    ``memory`` how many each of its processes may use. Code 127 means that it could not be started,
    124 that it took longer than ``timeout`` seconds, 125 that it printed too much. In the last two
    cases it is killed with its children.
    """
    identity: dict[str, object] = {}
    if person is not None and os.geteuid() == 0 and person.uid != 0:
        groups = os.getgrouplist(person.name, person.gid)
        identity = {"user": person.uid, "group": person.gid, "extra_groups": groups}
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": PATH, "LANG": "C.UTF-8", **(environment or {})},
            cwd="/",
            start_new_session=True,  # a shell must not take the terminal
            preexec_fn=_limit_memory(memory) if memory else None,  # noqa: PLW1509 - one thread
            **identity,  # type: ignore[call-overload] # typed one by one in subprocess
        )
    except OSError as error:
        return Outcome(NOT_STARTED, "", f"{command[0]}: {error.strerror}")
    with process:
        try:
            stdout, stderr = _collect(process, time.monotonic() + timeout, limit)
        except subprocess.TimeoutExpired:
            _kill(process)
            return Outcome(TIMED_OUT, "", f"{command[0]}: no answer within {timeout:g} s")
        except _TooMuchError:
            _kill(process)
            return Outcome(TOO_MUCH, "", f"{command[0]}: printed more than {limit} bytes")
    return Outcome(process.returncode, stdout, stderr)


class _TooMuchError(Exception):
    """A command printed more than its limit."""


def _limit_memory(memory: int) -> Callable[[], None]:
    def limit() -> None:
        allowed = resource.getrlimit(resource.RLIMIT_AS)[1]
        bound = memory if allowed == resource.RLIM_INFINITY else min(memory, allowed)
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return limit


def _collect(process: "subprocess.Popen[bytes]", end: float, limit: int) -> tuple[str, str]:
    """Return what a process prints until it ends; raise TimeoutExpired or _TooMuchError."""
    kept: list[bytearray] = []
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None  # noqa: S101 - both are pipes
            kept.append(bytearray())
            selector.register(stream, selectors.EVENT_READ, kept[-1])
        while selector.get_map():
            left = end - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(process.args, 0)
            for key, _ in selector.select(left):
                chunk = os.read(key.fd, 1 << 16)
                key.data.extend(chunk)
                if not chunk:
                    selector.unregister(key.fileobj)
                elif len(key.data) > limit:
                    raise _TooMuchError
    process.wait(max(end - time.monotonic(), 0))
    stdout, stderr = (bytes(text).decode(errors="replace") for text in kept)
    return stdout, stderr


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.killpg(process.pid, signal.SIGKILL)  # its process group has its number


def read(path: str) -> str | None:
    """Return a file's text, or None if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def names(path: str) -> tuple[str, ...] | None:
    """Return a directory's sorted names: none if it does not exist, None if it is not readable."""
    try:
        return tuple(sorted(entry.name for entry in Path(path).iterdir()))
    except FileNotFoundError:
        return ()
    except OSError:
        return None


def link(path: str) -> str | None:
    """Return the target of a link, or None for anything else."""
    try:
        return str(Path(path).readlink())
    except OSError:
        return None


def resolve(path: str) -> str | None:
    """Resolve every link like a process that sees the store, even if the store is not mounted.

    Links of the packaged closure lead to /nix/store in every layout.

    Return the path below /var/lib/nix or elsewhere, or None if it leads nowhere.
    """
    found = follow(path)
    return found if found is not None and os.path.lexists(found) else None


def follow(path: str) -> str | None:
    """Return the path like resolve(), even if it does not exist; None for a circle of links."""
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
    return done or "/"
