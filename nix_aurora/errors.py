"""The faults that end a run, each with the exit code that scripts can rely on."""

from collections.abc import Iterable

from nix_aurora.text import printable


def quoted(text: str) -> str:
    """Return text from outside for a message: in quotes, escaped and bounded."""
    return f"'{printable(text)}'"


class AuroraError(Exception):
    """A fault with a message for the user.

    ``message`` is one line, ``what failed: subject: expected X, got Y``. ``details`` are more
    lines, such as the output of a tool. ``hint`` is the next step, where there is one. log.py
    escapes all of them when it prints them.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, details: Iterable[str] = (), hint: str | None = None
    ) -> None:
        self.message = message
        self.details = tuple(details)
        super().__init__("\n".join((message, *self.details)))
        self.hint = hint


class UsageError(AuroraError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class PinError(AuroraError):
    """pins.toml is missing, malformed, or has no entry for what is asked."""

    exit_code = 3


class FetchError(AuroraError):
    """A download did not give the pinned bytes."""

    exit_code = 4


class VerificationError(AuroraError):
    """Bytes that are at hand are not what they have to be."""

    exit_code = 5


class ToolError(AuroraError):
    """A program that we run is missing or has failed."""

    exit_code = 6


class PublishError(AuroraError):
    """COPR cannot be reached, or refuses what is asked of it."""

    exit_code = 7


class BuildError(AuroraError):
    """A build at COPR has failed."""

    exit_code = 8
