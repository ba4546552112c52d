"""A host against which the acceptance script runs over ssh, and the result of a run."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from accept.checks.selinux import judge_denials, judge_labels
from accept.machine import load
from accept.outcome import Outcome, Result
from accept.promises import PROMISES
from accept.records import Records
from tests.harness.deployment import Deployment
from tests.harness.qemu import Machine
from tests.harness.ssh import Door
from tests.harness.system import System
from tests.lint.shell import TOP

Host = TypeVar("Host", Deployment, Machine)

# No run shows the first checks here; a run shows the others only on request.
ELSEWHERE = frozenset({"labels", "denials", "rpm-ostree", "bootc", "upgrade"})
UNASKED = frozenset({"network", "collect", "reboot", "rollback", "back"})
# This prints all files of the script in homes and temporary directories, and the generation of the
# profile.
_TRACES = """
find /tmp /var/home /run/user -name '*accept*'
find /var/home/tester -path '*/.cache' -prune -o -print | sort
find /var/home/tester -type l -printf '%p %l\\n' | sort
find /var/lib/nix/store -maxdepth 1 -name '*accept-*' ! -name '*.lock'
"""


class Run(NamedTuple):
    """The result of a run: its exit code, its output, and the checks of its report."""

    code: int
    stdout: str
    checks: dict[str, dict[str, str]]

    def named(self, result: Result) -> set[str]:
        """Return the names of the checks with a result."""
        return {name for name, check in self.checks.items() if check["result"] == result}


@dataclass(frozen=True, slots=True)
class Guest(Generic[Host]):
    """A host, and the ssh access to it."""

    host: Host
    door: Door
    place: Path

    def command(self, *options: str, user: str = "tester") -> list[str]:
        """Return the command that runs the script against the host."""
        report = f"--json={self.place / 'report.json'}"
        words: list[str] = [f"--ssh={self.door.options}", report, *options, "--", f"{user}@aurora"]
        return [sys.executable, "-m", "accept", *words]

    def make_command(self) -> list[str]:
        """Return the command that runs the script through make."""
        flags = f"FLAGS=--json={self.place / 'report.json'}"
        return ["make", "accept", "HOST=tester@aurora", f"SSH={self.door.options}", flags]

    def accept(self, *options: str, user: str = "tester") -> Run:
        """Run the script to its end."""
        return self.run(self.command(*options, user=user))

    def run(self, command: Sequence[str]) -> Run:
        """Run a command that writes the report."""
        done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        report = json.loads((self.place / "report.json").read_text())
        checks = {
            "/".join(filter(None, (check["boot"], check["id"]))): check
            for check in report["checks"]
        }
        return Run(done.returncode, done.stdout, checks)

    def reboot(self) -> None:
        """Reboot the host, and let ssh reach it again."""
        self.host.reboot()
        self.door.follow()

    def traces(self) -> str:
        """Return everything that a run could have left."""
        return self.host.run(_TRACES).stdout


def check_green(run: Run, kind: str, not_shown: Sequence[str] = ()) -> None:
    """Fail unless all checks are ok except for ``not_shown`` and those that no run shows here."""
    assert run.named(Result.FAILED) == set()
    assert run.named(Result.NOT_SHOWN) == {*ELSEWHERE, *UNASKED, *not_shown}
    assert set(run.checks) == set(PROMISES)
    assert kind in run.checks["layout"]["detail"]
    assert run.code == 0


def judge_selinux(host: System) -> tuple[Outcome, Outcome]:
    """Return the script's outcomes for labels and denials, for a host that ssh does not reach."""

    def seen(name: str) -> Records:
        return Records(host.run('sh -c "$SCRIPT"', env={"SCRIPT": load(name)}, check=False).stdout)

    return judge_labels(seen("labels")), judge_denials(seen("denials"))


def let_in(host: Host, place: Path) -> Guest[Host]:
    """Open ssh access for the users of a running host; ``place`` keeps the keys."""
    door = Door(host, place / "ssh")
    door.open_for(["tester", "other"])
    return Guest(host, door, place)
