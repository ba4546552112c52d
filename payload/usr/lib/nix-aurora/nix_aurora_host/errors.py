"""The one error that the command line turns into a message and an exit code."""

FAILED = 1
USAGE = 2


class CommandError(Exception):
    """A failure, with hints of what to run next, and the exit code."""

    def __init__(self, message: str, hint: str | None = None, *, code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
