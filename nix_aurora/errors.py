"""The faults that end a run, each with the exit code that scripts can rely on."""


class AuroraError(Exception):
    """A fault with a message for the user.

    ``message`` reads ``what failed: subject: expected X, got Y``; ``hint`` is the next step,
    where there is one.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
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
