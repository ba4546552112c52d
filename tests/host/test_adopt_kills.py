"""Test a takeover that is killed at system calls throughout its run, then finished.

A second run or a boot finishes it.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.harness.scratch import Scratch
from tests.harness.strace import bring_strace
from tests.harness.tree import Tree
from tests.host.adopting import ADOPT, ARCHIVE, FORMER, IN_OURS, MAKE_VAR, UNPACK, check_adopted
from tests.torture import SEED, chosen
from tests.whole import IMPORT

_POINTS = {"move": 30, "copy": 30, "merge": 30}
_CASES = [(way, number) for way, count in _POINTS.items() for number in range(count)]
_RESTORE = f"""
rm -rf /var/lib/nix/.nix-aurora/adopt
find /var/lib/nix {FORMER} -mindepth 1 -delete
cp -a /run/saved/ours/. /var/lib/nix/
cp -a /run/saved/theirs/. {FORMER}/
"""
_SAVE = f"""
rm -rf /run/saved
mkdir -p /run/saved/theirs /run/saved/ours
cp -a {FORMER}/. /run/saved/theirs/
cp -a /var/lib/nix/. /run/saved/ours/
"""
_SEPARATE = f"""
mv {FORMER} /run/apart
mkdir -p {FORMER}
mount -t tmpfs -o mode=0755 home {FORMER}
cp -a /run/apart/. {FORMER}/
rm -r /run/apart
"""
_PREPARE = {"move": "", "copy": _SEPARATE, "merge": IN_OURS}
# The last kill fails if the command has left no process, which is fine.
_KILL_AT = """
setsid $STRACE -qq -o /dev/null -e inject=$CALL:signal=KILL:when=$NUMBER $ADOPT >/run/said 2>&1 &
wait $! || echo "killed: $?"
kill -KILL -- -$! 2>/dev/null || :
cat /run/said
"""
# In every state, a collection deletes nothing that belongs to users.
_COLLECT = """
. /usr/lib/nix-aurora/closure.env
NIX_REMOTE=local "$CLOSURE_NIX/bin/nix-store" --gc >/run/collected 2>&1 || cat /run/collected
"""
# The next run finds no other store if the import has finished the takeover.
_AGAIN = f"{ADOPT} || [ ! -e {FORMER}/store ]"


class Roots:
    """A root for each kind of takeover, prepared when a test needs it."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self._strace = bring_strace(scratch)
        self._way: str | None = None
        self.calls = cache(self._calls)

    def begin(self, way: str) -> None:
        """Restore the state before a takeover."""
        if self._way is None:
            self.scratch.run(_SAVE)
            self.scratch.run("cp -a /run/saved /run/first")
        if self._way != way:
            self.scratch.run(
                f"umount {FORMER} 2>/dev/null || :; rm -rf /run/saved; cp -a /run/first /run/saved"
            )
            self.scratch.run(_RESTORE + _PREPARE[way] + _SAVE)
            self._way = way
        self.scratch.run(_RESTORE)

    def _calls(self, way: str) -> list[tuple[str, int]]:
        """Return the system calls of an undisturbed takeover, beginning with its first lock."""
        self.begin(way)
        self.scratch.run(f"{self._strace} -qq -o /run/trace {ADOPT}")
        counts: Counter[str] = Counter()
        found = []
        for line in self.scratch.read("/run/trace").splitlines():
            if name := re.match(r"([a-z0-9_]+)\(", line):
                counts[name[1]] += 1
                found.append((name[1], counts[name[1]]))
        first = next(number for number, (name, _) in enumerate(found) if name == "flock")
        return [call for call in found[first:] if call[0] not in {"futex", "exit_group"}]

    def kill_at(self, call: str, number: int) -> str:
        """Start a takeover, kill it at a call, and return the output."""
        environment = {
            "STRACE": self._strace,
            "CALL": call,
            "NUMBER": str(number),
            "ADOPT": f"/usr/bin/{ADOPT}",
        }
        return self.scratch.run(_KILL_AT, env=environment).stdout


@pytest.fixture(scope="module")
def roots(nix_tree: Tree, former_root: Path) -> Iterator[Roots]:
    """Return a root with a former store."""
    with Scratch(nix_tree.layers, binds={former_root: ARCHIVE}) as scratch:
        scratch.run(MAKE_VAR + UNPACK)
        yield Roots(scratch)


@pytest.mark.parametrize(("way", "number"), chosen(_CASES))
def test_users_keep_everything_after_any_kill(roots: Roots, way: str, number: int) -> None:
    calls = roots.calls(way)
    position = (number + random.Random(f"{SEED} {way} {number}").random()) / _POINTS[way]  # noqa: S311
    name, count = calls[int(position * len(calls))]
    roots.begin(way)
    said = roots.kill_at(name, count)
    print(f"{way}: {name} {count}, at {position:.0%} of {len(calls)}: {said}")
    assert "killed: 137" in said
    roots.scratch.run(_COLLECT)
    if number % 2:  # a boot comes before the second run
        print(roots.scratch.run(IMPORT).output)
    print(roots.scratch.run(_AGAIN).output)
    check_adopted(roots.scratch)
