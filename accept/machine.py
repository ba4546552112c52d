"""The host: its facts, and how to run our scripts on it."""

import shlex
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accept.connection import Connection, LateError, LostError
from accept.records import Answer, Records, parse_object
from nix_aurora.errors import ToolError

_SCRIPTS = Path(__file__).with_name("host")
QUICK, SLOW = 120.0, 900.0
"""The time limits of a check, and of a build or an installation, in seconds."""
BEGIN = "nix-aurora-accept begins"
"""The first line that each script prints."""
_PAUSE = 1.0  # seconds between two attempts to connect
_TRY = 30.0  # seconds for one attempt


@dataclass(frozen=True, slots=True)
class Facts:
    """The kind of host, and the rights of the user there."""

    uid: int
    user: str
    home: str
    name: str
    root: bool  # through sudo without a password, or because the user is root
    selinux: str  # enforcing, permissive, off
    boot: str  # the kernel's id of this boot
    tools: frozenset[str]
    shown: Mapping[str, str] = field(default_factory=dict)  # the facts for the report

    @classmethod
    def of(cls, records: Records) -> "Facts":
        """Parse the output of facts.sh; raise ValueError if it is not complete."""
        names = ("os", "variant", "kernel", "machine", "systemd", "image", "selinux", "root")
        return cls(
            uid=int(records.get("uid")),
            user=records.get("user"),
            home=records.get("home"),
            name=records.get("name"),
            root=records.get("root") == "yes",
            selinux=records.get("selinux"),
            boot=records.get("boot"),
            tools=frozenset(records.get("tools").split()),
            shown={name: records.get(name) for name in names},
        )


@dataclass(frozen=True, slots=True)
class State:
    """The output of nix-aurora about this boot; ``status`` is None if there was none."""

    status: Mapping[str, Any] | None
    mount: Mapping[str, Any] | None
    complaint: str = ""

    @property
    def layout(self) -> str:
        """Return the layout in the status."""
        return str((self.status or {}).get("layout"))


class Machine:
    """The host behind ``connection``; ``token`` marks everything that this run creates there."""

    def __init__(self, connection: Connection, token: str) -> None:
        self._connection = connection
        self.token = token
        self.facts = self._look()
        self._state: State | None = None

    def run(self, script: str, *, root: bool = False, limit: float = QUICK) -> Answer:
        """Run a script of POSIX sh on the host, as the user or as root."""
        return self._answer(whole(script), root=root, limit=limit)

    def script(
        self,
        name: str,
        variables: Mapping[str, str] | None = None,
        *,
        root: bool = False,
        limit: float = QUICK,
    ) -> Answer:
        """Run the script ``name`` of host/, with ``variables`` and TOKEN set."""
        given = {**(variables or {}), "TOKEN": self.token}
        return self._answer(load(name, **given), root=root, limit=limit)

    def records(self, name: str, *, root: bool = False) -> Records:
        """Run a script that changes nothing, and return its records."""
        return Records(self.script(name, root=root).stdout)

    @property
    def state(self) -> State:
        """Return nix-aurora's status of this boot; query it only once."""
        if self._state is None:
            status = self.run("nix-aurora status --json")
            mount = self.run("nix-aurora mount status --json")
            self._state = State(parse_object(status), parse_object(mount), status.complaint)
        return self._state

    def reboot(self, limit: float) -> None:
        """Reboot the host and wait until it is up again.

        Raise LateError after ``limit`` seconds.
        """
        before = self.facts.boot
        with suppress(LostError, LateError):  # the host is already down
            self.run("systemctl reboot", root=True, limit=_TRY)
        self.reconnect(before, limit)

    def reconnect(self, before: str, limit: float) -> None:
        """Connect to a boot other than ``before``; raise LateError after ``limit`` seconds."""
        deadline = time.monotonic() + limit
        said = "nothing"
        while time.monotonic() < deadline:
            try:
                self._connection.open(_TRY)
                self.facts = self._look()
                if self.facts.boot != before:
                    self._state = None
                    return
                said = "the same boot"
            except (LostError, LateError, ToolError) as error:
                said = str(error)
            time.sleep(_PAUSE)
        raise LateError(f"expected another boot within {limit:.0f} s, got {said}")

    def clean(self) -> str:
        """Remove what this run created on the host; return what remains, "" for nothing."""
        return Records(self.script("clean", limit=QUICK).stdout).get("left")

    def _answer(self, script: str, *, root: bool, limit: float) -> Answer:
        command = "exec sudo -n sh -s" if root and self.facts.uid != 0 else "exec sh -s"
        return own_answer(self._connection.run(command, script, limit=limit))

    def _look(self) -> Facts:
        answer = own_answer(self._connection.run("exec sh -s", load("facts"), limit=QUICK))
        try:
            return Facts.of(Records(answer.stdout))
        except ValueError as error:
            message = f"cannot run a script on the host: {answer.complaint}"
            raise ToolError(message, hint="ssh HOST sh -c true") from error


def load(name: str, **variables: str) -> str:
    """Return the script ``name`` of host/ in the form that whole() produces."""
    return whole(_read(name), **variables)


def _read(name: str) -> str:
    return (_SCRIPTS / f"{name}.sh").read_text()


def whole(script: str, **variables: str) -> str:
    """Return a script that sets ``variables``, and that sh reads completely before it starts.

    Its input is empty, so no program in it reads the rest of the script.
    """
    given = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    return f"{{\necho {BEGIN}\n{given}{_read('common')}\n{script}\n}} </dev/null\n"


def own_answer(answer: Answer) -> Answer:
    """Return an answer without the output of the user's own shell before the script began."""
    _, begins, own = answer.stdout.partition(f"{BEGIN}\n")
    return Answer(answer.code, own, answer.stderr) if begins else answer
