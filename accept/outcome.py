"""The outcome of checking a promise."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """The result of a check; NOT_SHOWN means that the promise was not checked."""

    OK = "ok"
    FAILED = "failed"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of the check ``id``, with details.

    ``next`` is the command to run next if the check failed. ``boot`` names the boot that was
    checked: "" is the one in which the run began.
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
    """Return the outcome of a promise that was not checked, with the reason."""
    return Outcome(identifier, Result.NOT_SHOWN, reason)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 1 if a check failed, else 0."""
    return 1 if any(outcome.result is Result.FAILED for outcome in outcomes) else 0
