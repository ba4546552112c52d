"""A booted system of any kind, and the operations of tests on it."""

import json
import shlex
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from nix_aurora.errors import ToolError
from tests.harness.archive import archive_of, unpack_command
from tests.harness.closing import Closing
from tests.harness.commands import Result, script_command

PAUSE = 0.03  # seconds between two polls
TIMEOUT = 300.0  # seconds: enough for an emulated machine that shares its processors


class System(Closing):
    """A guest that is opened, boots, is used, and is closed.

    In a ``with`` block it boots, and is killed at the end.
    """

    def __init__(self, console: Path) -> None:
        self.console = console
        """The output of the guest, and of the program that runs it, in all boots."""

    @abstractmethod
    def open(self) -> None:
        """Prepare the guest's files; the guest stays off."""

    @abstractmethod
    def boot(self, *, wait: bool = True, timeout: float = TIMEOUT) -> float:
        """Start the guest; return the seconds that this took.

        Returns as soon as scripts can run or, with ``wait``, when wait_until_up() does.
        """

    @abstractmethod
    def close(self) -> None:
        """Kill the guest; its files stay."""

    @abstractmethod
    def _execute(
        self,
        command: Sequence[str],
        check: bool,
        timeout: float,
        stdin: IO[bytes] | None,
        name: str,
    ) -> Result:
        """Run ``command`` in the guest to its end, as commands.execute does."""

    def wait_until_up(self, *, timeout: float = TIMEOUT) -> str:
        """Wait until the boot has no jobs left; return ``running`` or ``degraded``.

        failed_units() returns the reason for degraded. Raises ToolError with the remaining jobs.
        """
        command = f"timeout {timeout} systemctl is-system-running --wait"
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            state = self.run(command, check=False, timeout=timeout + 10).stdout.strip()
            if state in {"running", "degraded"}:
                return state
            time.sleep(PAUSE)
        jobs = self.run("systemctl --no-pager list-jobs", check=False).output
        raise self.fault("booting", "no jobs left", jobs)

    def run(
        self,
        script: str,
        *,
        check: bool = True,
        timeout: float = TIMEOUT,
        env: Mapping[str, str] | None = None,
        stdin: IO[bytes] | None = None,
    ) -> Result:
        """Run a bash script (``-euo pipefail``) as root in the guest, in ``/``.

        The script sees ``env`` and a minimal environment, has no login and belongs to no unit.
        Raises ToolError with the output for a non-zero exit code, unless ``check`` is false, and
        after ``timeout`` seconds.
        """
        command = script_command(script, env)
        return self._execute(command, check, timeout, stdin, script)

    def run_as(
        self,
        user: str,
        script: str,
        *,
        shell: str = "bash",
        login: bool = True,
        check: bool = True,
        timeout: float = TIMEOUT,
    ) -> Result:
        """Run a script in ``shell`` as ``user`` in the user's home.

        With ``login``, the script gets a PAM session (logind, user manager, XDG_RUNTIME_DIR) and
        the files of login shells. Otherwise it runs in a plain ``shell -c`` with a minimal
        environment. The script sets its own strictness.
        """
        if login:
            command = ["su", "--login", user, f"--shell=/bin/{shell}", f"--command={script}"]
        else:
            inner = f'cd; exec env -u SCRIPT -u OLDPWD {shell} -c "$SCRIPT"'
            command = script_command(inner, {"SCRIPT": script}, user=user)
        return self._execute(command, check, timeout, None, f"{user} ({shell}): {script}")

    def linger(self, user: str) -> None:
        """Enable lingering for ``user``, and wait until the user manager is up."""
        self.run(
            f"loginctl enable-linger {shlex.quote(user)}\n"
            f"systemctl start user@$(id --user {shlex.quote(user)}).service"
        )

    def copy_in(self, source: Path, target: str) -> None:
        """Copy a file or a directory of this machine to ``target``, owned by root.

        Parents are created; a directory is merged into an existing one.
        """
        with archive_of(source) as archive:
            command = unpack_command(source, target)
            self._execute(command, True, TIMEOUT, archive, f"copy to {target}")

    def read(self, path: str) -> str:
        """Return the text of a file in the guest."""
        return self.run(f"cat -- {shlex.quote(path)}").stdout

    def journal(self, unit: str | None = None) -> str:
        """Return the messages of this boot, of ``unit`` or of all."""
        only = f"--unit={shlex.quote(unit)}" if unit else ""
        return self.run(f"journalctl --sync; journalctl -b --no-pager {only}").stdout

    def failed_units(self) -> list[str]:
        """Return the names of the failed units."""
        listing = self.run("systemctl --failed --output=json").stdout
        return [str(unit["unit"]) for unit in json.loads(listing)]

    def fault(self, what: str, expected: str, got: str, *, lines: int = 40) -> ToolError:
        """Return an error with the last ``lines`` of the console."""
        tail = "\n".join(self.console.read_text(errors="replace").splitlines()[-lines:])
        return ToolError(f"{what}: {self.console.parent}: expected {expected}, got {got}\n{tail}")

    def __enter__(self) -> Self:
        self.open()
        try:
            self.boot()
        except BaseException:
            self.close()
            raise
        return self
