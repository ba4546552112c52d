"""Test import, recover and backup with kills at any time, during builds and collections.

The import is also killed at system calls that are spread over its run.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.harness.scratch import Scratch
from tests.harness.strace import bring_strace
from tests.host.conftest import NixTreeMaker
from tests.host.losing import BUILD, PREPARE, SCHEMA
from tests.host.store import RESTORE, Store, prepare
from tests.packages import PackageMaker
from tests.torture import SEED, chosen
from tests.whole import IMPORT, WHOLE, check_clean

_PROGRAMS = {
    "import": f"touch /nix/.nix-aurora/import-needed; exec {IMPORT}",
    "restoring import": f"rm -r /nix/var/nix/db; exec {IMPORT}",
    "recover": "exec nix-aurora recover --yes",
    "backup": "exec /usr/libexec/nix-aurora/backup-database",
    "mending import": f"printf x >{SCHEMA}; exec {IMPORT}",
    "going back": f"printf 11 >{SCHEMA}; exec nix-aurora recover --yes",
}
# Each program is killed this often, at times that the seed chooses.
_TIMES = {"import": 60, "restoring import": 30, "recover": 15, "backup": 15}
_TIMES |= {"mending import": 15, "going back": 15}
_CASES = [(name, number) for name, count in _TIMES.items() for number in range(count)]
_CALLS = 60
# These run in the background until they are stopped: they build new paths with a root, or collect.
_BUILDS = f"""
cd /run
rm -f stop
{BUILD}
(
    number=0
    until [ -e stop ]; do
        number=$((number + 1))
        build load-$((number % 5)) "$RANDOM$RANDOM"
        sleep 0.05
    done
) >/dev/null 2>&1 &
"""
_COLLECTIONS = """
(until [ -e stop ]; do "$CLOSURE_NIX/bin/nix-store" --gc; sleep 0.1; done) >/dev/null 2>&1 &
"""
# A database cannot be lost while Nix has it open, so nothing runs beside a restoring import. A
# collection deletes unknown paths, so recover must run before one.
_LOADS = {
    "import": _BUILDS + _COLLECTIONS,
    "restoring import": "",
    "recover": _BUILDS,
    "backup": _BUILDS + _COLLECTIONS,
    "mending import": "",
    "going back": "",
}
_KILL = """
setsid bash -c "$PROGRAM" >/run/said 2>&1 &
sleep "$DELAY"
kill -KILL -- -$! || : # it may have ended by itself
wait $! || echo "killed: $?"
touch /run/stop
wait
cat /run/said
"""
# In seconds: a little more than each program takes.
_LONGEST = {"import": 1.2, "restoring import": 1.8, "recover": 0.7, "backup": 0.6}
_LONGEST |= {"mending import": 1.2, "going back": 2.5}

# strace counts the calls by name, and only those of the process that it started. When that process
# is dead, the others are killed, as systemd does. If none is left, kill fails, which is fine.
_KILL_AT = """
setsid $STRACE -qq -o /dev/null -e inject=$CALL:signal=KILL:when=$NUMBER $IMPORT >/run/said 2>&1 &
wait $! || echo "killed: $?"
kill -KILL -- -$! 2>/dev/null || :
cat /run/said
"""


@pytest.fixture(scope="module")
def prepared(make_nix_tree: NixTreeMaker) -> Iterator[Scratch]:
    """Return a root with the package imported, a user's paths, and a copy of the database."""
    with make_nix_tree("forky").scratch() as scratch:
        scratch.run(PREPARE)
        yield scratch


@pytest.mark.parametrize(("program", "number"), chosen(_CASES))
def test_kill_at_any_time_loses_nothing(prepared: Scratch, program: str, number: int) -> None:
    delay = random.Random(f"{SEED} {program} {number}").uniform(0.02, _LONGEST[program])  # noqa: S311
    prepared.run(RESTORE)
    if program == "recover":  # recover then has paths to register
        prepared.run(
            "rm -r /nix/var/nix/db; mv /nix/.nix-aurora/database /run/database\n"
            f"{IMPORT}; mv /run/database /nix/.nix-aurora/database"
        )
    done = prepared.run(
        _LOADS[program] + _KILL, env={"PROGRAM": _PROGRAMS[program], "DELAY": f"{delay:.3f}"}
    )
    print(f"{program}, after {delay:.3f} s: {done.stdout}")

    prepared.run(f"{IMPORT}; nix-aurora recover --yes; /usr/libexec/nix-aurora/backup-database")
    check_clean(prepared.run(WHOLE))
    prepared.run(
        """
        . /usr/lib/nix-aurora/closure.env
        export NIX_REMOTE=local
        for root in /nix/var/nix/gcroots/mine /nix/var/nix/gcroots/inner \\
            /nix/var/nix/gcroots/load-*; do
            [ -L "$root" ] || continue
            "$CLOSURE_NIX/bin/nix-store" --check-validity "$(readlink "$root")"
            test -s "$root"
        done
        [ -z "$(find /nix/store -maxdepth 1 -name '*.lock')" ]
        rm -f /nix/var/nix/gcroots/load-*
        """
    )


# --- at a system call


@pytest.fixture(scope="module")
def upgraded(make_nix_tree: NixTreeMaker, package: PackageMaker) -> Iterator[Store]:
    """Return a root in which an upgrade is about to be imported."""
    with make_nix_tree("trixie").scratch() as scratch:
        yield prepare(scratch, package("forky"))


@pytest.fixture(scope="module")
def strace(upgraded: Store) -> str:
    """Return the command that starts strace in that root."""
    return bring_strace(upgraded.scratch)


@pytest.fixture(scope="module")
def calls(upgraded: Store, strace: str) -> list[tuple[str, int]]:
    """Return the system calls of an undisturbed import: each name, with its number among those.

    They begin with the import's lock. Calls with which threads wait are left out, since they differ
    from run to run.
    """
    upgraded.restore()
    upgraded.scratch.run(f"{strace} -qq -o /run/trace {IMPORT}")
    counts: Counter[str] = Counter()
    found = []
    for line in upgraded.scratch.read("/run/trace").splitlines():
        if name := re.match(r"([a-z0-9_]+)\(", line):
            counts[name[1]] += 1
            found.append((name[1], counts[name[1]]))
    first = next(number for number, (name, _) in enumerate(found) if name == "flock")
    return [call for call in found[first:] if call[0] not in {"futex", "exit_group"}]


@pytest.mark.parametrize("number", chosen(range(_CALLS)))
def test_kill_at_any_system_call_loses_nothing(
    upgraded: Store, strace: str, calls: list[tuple[str, int]], number: int
) -> None:
    position = (number + random.Random(f"{SEED} call {number}").random()) / _CALLS  # noqa: S311
    name, count = calls[int(position * len(calls))]
    upgraded.restore()
    environment = {"STRACE": strace, "CALL": name, "NUMBER": str(count), "IMPORT": IMPORT}
    done = upgraded.scratch.run(_KILL_AT, env=environment)
    print(f"{name} {count}, at {position:.0%} of {len(calls)}: {done.stdout}")
    assert "killed: 137" in done.stdout
    upgraded.check_still_works()
    upgraded.run_import()
    upgraded.check_whole()
    upgraded.check_still_works()
