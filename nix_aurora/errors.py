"""The errors that end a run, each with an exit code that scripts can rely on."""

from collections.abc import Iterable

from nix_aurora.text import printable


def quoted(text: str) -> str:
    """Return outside text for a message: quoted, escaped and of limited length."""
    return f"'{printable(text)}'"


class AuroraError(Exception):
    """An error with a message for the user.

    ``message`` is one line, ``what failed: subject: expected X, got Y``. ``details`` are more
    lines, such as the output of a tool. ``hint`` is the next step, if there is one. log.py escapes
    all of them when it prints them.
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
    """The arguments of the command line are invalid."""

    exit_code = 2


class PinError(AuroraError):
    """pins.toml is missing, malformed, or has no entry for the request."""

    exit_code = 3


class FetchError(AuroraError):
    """A download failed, or its bytes differ from the pin."""

    exit_code = 4


class VerificationError(AuroraError):
    """Local bytes are not as expected."""

    exit_code = 5


class ToolError(AuroraError):
    """A program that we run is missing or failed."""

    exit_code = 6


class PublishError(AuroraError):
    """COPR cannot be reached, or refuses the request."""

    exit_code = 7


class BuildError(AuroraError):
    """A build at COPR failed."""

    exit_code = 8
