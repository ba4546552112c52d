"""Select long tests: all of them with ``make torture``, a seeded tenth with ``make check``.

The seed is NIX_AURORA_SEED if that is set, and otherwise comes from the commit: each commit tests a
different tenth, and the same one when it is tested again. pytest prints the seed.
"""

import os
import random
import subprocess
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

WHOLE = bool(os.environ.get("NIX_AURORA_TORTURE"))
"""Whether all cases run."""
_SHARE = 10


def _seed() -> str:
    if given := os.environ.get("NIX_AURORA_SEED"):
        return given
    done = subprocess.run(
        ["git", "-C", Path(__file__).parent, "rev-parse", "--short=8", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "0"  # an archive of the project is not a git checkout


SEED = _seed()


def generator() -> random.Random:
    """Return a generator whose numbers are the same for the same seed."""
    return random.Random(SEED)  # noqa: S311 - no secret


def chosen(cases: Sequence[T]) -> list[T]:
    """Return the cases to run, in their order: all of them, or a tenth and at least one."""
    if WHOLE:
        return list(cases)
    count = max(1, len(cases) // _SHARE)
    numbers = generator().sample(range(len(cases)), count)
    return [cases[number] for number in sorted(numbers)]


def representatives(cases: Sequence[T], kind: Callable[[T], Hashable]) -> list[T]:
    """Return the cases to run, in their order: all, or one of each kind and a tenth of the rest."""
    firsts: dict[Hashable, int] = {}
    for number, case in enumerate(cases):
        firsts.setdefault(kind(case), number)
    kept = set(firsts.values())
    others = [number for number in range(len(cases)) if number not in kept]
    kept.update(chosen(others) if others else [])
    return [case for number, case in enumerate(cases) if number in kept]
