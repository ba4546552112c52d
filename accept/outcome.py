"""What a check of a promise comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """NOT_SHOWN: the promise was neither seen kept nor seen broken."""

    OK = "ok"
    FAILED = "failed"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of the check ``id``, with what was seen.

    ``next`` is the command to run next where the check failed. ``boot`` names the boot that was
    looked at: "" is the one that the run began with.
    """

    id: str
    result: Result
    detail: str
    next: str | None = None
    boot: str = ""

    @property
    def name(self) -> str:
        """Return the id with the boot before it."""
        return f"{self.boot}/{self.id}" if self.boot else self.id


def ok(identifier: str, detail: str) -> Outcome:
    """Return the outcome of a promise that was kept."""
    return Outcome(identifier, Result.OK, detail)


def failed(identifier: str, detail: str, next_command: str) -> Outcome:
    """Return the outcome of a promise that was broken, with the command to run next."""
    return Outcome(identifier, Result.FAILED, detail, next_command)


def not_shown(identifier: str, reason: str) -> Outcome:
    """Return the outcome of a promise that was not looked at, with the reason."""
    return Outcome(identifier, Result.NOT_SHOWN, reason)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 where all that was shown is ok, else 1."""
    return 1 if any(outcome.result is Result.FAILED for outcome in outcomes) else 0
