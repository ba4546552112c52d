"""nix-aurora recover: make a database, that has been lost, know again what users keep."""

import fcntl
import graphlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from nix_aurora_host import paths
from nix_aurora_host.errors import USAGE, CommandError
from nix_aurora_host.gather.closure import gather_closure
from nix_aurora_host.gather.roots import gather_roots
from nix_aurora_host.gather.store import query
from nix_aurora_host.references import UnfitError, scan, store_names
from nix_aurora_host.status import human

_TRUST = """\
Without the former database nobody can tell whether their content is what it was: they will be
registered as they are. Where a program misbehaves, install it again."""
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be registered.

    ``references`` has the names that each store path refers to, a path after those; ``unfit`` has
    why others are left out; ``size`` is in bytes.
    """

    references: Mapping[str, frozenset[str]]
    unfit: Mapping[str, str]
    size: int


def recover(*, yes: bool, dry_run: bool, as_json: bool) -> int:
    """Register what roots keep and the database does not know, and give the exit code."""
    if os.geteuid() != 0:
        raise CommandError("recover: only root may register", "sudo nix-aurora recover", code=USAGE)
    if not (yes or dry_run or sys.stdin.isatty()):
        raise CommandError(
            "recover: there is no terminal to ask on", "sudo nix-aurora recover --yes", code=USAGE
        )
    valid = query("select path from ValidPaths")
    if valid is None:
        raise CommandError(
            f"recover: {paths.DATABASE} cannot be read: an import makes it",
            f"sudo systemctl restart {paths.SETUP}",
        )
    with _collector_waits():
        _say("Looking at what is on disk...")
        known = store_names(paths.STORE)
        plan = make_plan(
            gather_roots().values(),
            {path.removeprefix(f"{paths.PREFIX}/") for (path,) in valid},
            lambda name: scan(paths.STORE, name, known),
        )
        _tell(plan)
        done = bool(plan.references) and not dry_run and (yes or _confirm())
        if done:
            _nix_store("--register-validity", registration(plan))
    if as_json:
        print(json.dumps(describe(plan, registered=done), indent=2))
    if not done:
        return 1 if plan.unfit or (plan.references and not dry_run) else 0
    _say("Registered. Now Nix verifies the whole store...")
    _nix_store("--verify", "", "--check-contents")
    _say("recover: done")
    return 1 if plan.unfit else 0


def make_plan(
    roots: Iterable[str], valid: set[str], look: Callable[[str], tuple[set[str], int]]
) -> Plan:
    """Follow the roots through all that is not valid, which ``look`` scans path by path.

    What no root keeps is garbage, and may be the remains of an interrupted build: it is left out.
    So is what refers to an unfit path, for a valid path needs valid ones.
    """
    found: dict[str, set[str]] = {}
    unfit: dict[str, str] = {}
    size = 0
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name in valid or name in found or name in unfit:
            continue
        try:
            found[name], more = look(name)
        except UnfitError as error:
            unfit[name] = str(error)
        except OSError as error:
            unfit[name] = f"{error.filename}: {error.strerror}"
        else:
            size += more
            pending += found[name]
    order = _close(found, unfit)
    return Plan({name: frozenset(found[name]) for name in order}, unfit, size)


def _close(found: dict[str, set[str]], unfit: dict[str, str]) -> list[str]:
    """Move what cannot be registered from ``found`` to ``unfit``; give the rest's order."""
    while True:
        spoilt = {name: refs & unfit.keys() for name, refs in found.items() if refs & unfit.keys()}
        for name, causes in spoilt.items():
            unfit[name] = f"refers to {min(causes)}"
            del found[name]
        if spoilt:
            continue
        graph = {name: refs & found.keys() - {name} for name, refs in found.items()}
        try:
            return list(graphlib.TopologicalSorter(graph).static_order())
        except graphlib.CycleError as error:
            for name in set(error.args[1]):
                unfit[name] = "is part of a circle of references, which Nix does not make"
                del found[name]


def registration(plan: Plan) -> str:
    """Give the plan in the format of nix-store --register-validity, which computes the hashes."""
    lines = []
    for name, references in plan.references.items():
        deriver = ""  # unknown
        lines += [_path(name), deriver, str(len(references)), *map(_path, sorted(references))]
    return "".join(f"{line}\n" for line in lines)


def _path(name: str) -> str:
    return f"{paths.PREFIX}/{name}"


def describe(plan: Plan, *, registered: bool) -> dict[str, object]:
    """Give what JSON has of it."""
    return {
        "registered": registered,
        "paths": [_path(name) for name in plan.references],
        "unfit": {_path(name): why for name, why in plan.unfit.items()},
        "size": plan.size,
    }


@contextmanager
def _collector_waits() -> Iterator[None]:
    """Hold Nix's own lock, as builds do."""
    with open(f"{paths.STATE}/gc.lock", "ab", opener=_private) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("A garbage collection is running: waiting for it")
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _nix_store(operation: str, text: str, *options: str) -> None:
    """Run the packaged nix-store on the store itself; it says on stderr what it does."""
    program = paths.nix_command(gather_closure().nix, "nix-store")
    with_nix = () if paths.RELOCATED else ("/usr/libexec/nix-aurora/with-nix",)
    environment = {"PATH": "/usr/bin:/usr/sbin", "HOME": paths.OWN, "NIX_REMOTE": "local"}
    done = subprocess.run(
        [*with_nix, *program, operation, *options],
        input=text,
        text=True,
        stdout=sys.stderr,
        env=environment,
        cwd="/",
        check=False,
    )
    if done.returncode:
        raise CommandError(
            f"recover: nix-store {operation}: exit code {done.returncode}",
            "look above for why, then: sudo nix-aurora recover",
        )


def _tell(plan: Plan) -> None:
    if not plan.references and not plan.unfit:
        _say("recover: the database knows all that users keep")
    if plan.references:
        count, size = len(plan.references), human(plan.size)
        _say(f"Store paths that are kept, and that the database does not know: {count}, {size}")
        for name in list(plan.references)[:_SHOWN]:
            _say(f"  {_path(name)}")
        if count > _SHOWN:
            _say(f"  and {count - _SHOWN} more: --dry-run --json names all")
        _say(_TRUST)
    if plan.unfit:
        _say("Left out, for the next garbage collection to take: install or build them again")
        for name, why in plan.unfit.items():
            _say(f"  {_path(name)}: {why}")


def _confirm() -> bool:
    sys.stderr.write("Type yes to register them: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
