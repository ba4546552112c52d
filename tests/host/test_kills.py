"""Import, recover and backup, killed at any time, while builds and collections go on."""

import random
from collections.abc import Iterator

import pytest

from tests.harness.scratch import Scratch
from tests.host.conftest import NixTreeMaker
from tests.host.losing import BUILD, PREPARE, SCHEMA
from tests.host.store import RESTORE
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
_CASES = [
    (name, number) for number in range(15) for name in _PROGRAMS
]  # 90 kills, at a time that the seed chooses
# Each on its own, until told to stop: new paths with a root, and collections.
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
# A database is not lost under the feet of a running Nix, and a collection takes what it does not
# know: recover is there to come before that.
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
# Seconds: about what each takes, and some more.
_LONGEST = {"import": 1.2, "restoring import": 1.8, "recover": 0.7, "backup": 0.6}
_LONGEST |= {"mending import": 1.2, "going back": 2.5}


@pytest.fixture(scope="module")
def prepared(make_nix_tree: NixTreeMaker) -> Iterator[Scratch]:
    """Return a root with the package imported, a user's paths, and a copy of the database."""
    with make_nix_tree("forky").scratch() as scratch:
        scratch.run(PREPARE)
        yield scratch


@pytest.mark.parametrize(("program", "number"), chosen(_CASES))
def test_nothing_is_lost_whenever_it_is_killed(
    prepared: Scratch, program: str, number: int
) -> None:
    delay = random.Random(f"{SEED} {program} {number}").uniform(0.02, _LONGEST[program])  # noqa: S311
    prepared.run(RESTORE)
    if program == "recover":  # it finds something to do
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
