"""A host that the acceptance script is run against, over ssh, and what a run says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from accept.outcome import Result
from tests.harness.deployment import Deployment
from tests.harness.ssh import Door
from tests.lint.shell import TOP

# All that a user's home and the temporary directories have, and the generation of the profile.
_TRACES = """
find /tmp /var/home /run/user -name '*accept*'
find /var/home/tester -path '*/.cache' -prune -o -print | sort
find /var/home/tester -type l -printf '%p %l\\n' | sort
ls /var/lib/nix/store | grep accept- | grep -v 'lock$' || :
"""


class Run(NamedTuple):
    """What a run of the script left: its exit code, its output, and the checks of its report."""

    code: int
    stdout: str
    checks: dict[str, dict[str, str]]

    def named(self, result: Result) -> set[str]:
        """Return the names of the checks with a result."""
        return {name for name, check in self.checks.items() if check["result"] == result}


class Guest(NamedTuple):
    """A host, and the way in."""

    host: Deployment
    door: Door
    place: Path

    def command(self, *options: str, user: str = "tester") -> list[str]:
        """Return the command line that runs the script against the host."""
        report = f"--json={self.place / 'report.json'}"
        words = [f"--ssh={self.door.options}", report, *options, "--", f"{user}@aurora"]
        return [sys.executable, "-m", "accept", *words]

    def accept(self, *options: str, user: str = "tester") -> Run:
        """Run the script to its end."""
        command = self.command(*options, user=user)
        done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        report = json.loads((self.place / "report.json").read_text())
        checks = {
            "/".join(filter(None, (check["boot"], check["id"]))): check
            for check in report["checks"]
        }
        return Run(done.returncode, done.stdout, checks)

    def reboot(self) -> None:
        """Reboot the host, and find the way in again."""
        self.host.reboot()
        self.door.follow()

    def traces(self) -> str:
        """Return what a run could have left."""
        return self.host.run(_TRACES).stdout


def let_in(host: Deployment, place: Path) -> Guest:
    """Open the way in for the users of a host that is on; ``place`` keeps the keys."""
    door = Door(host, place / "ssh")
    door.open_for(["tester", "other"])
    return Guest(host, door, place)
