"""What the harness opens is closed when a ``with`` ends."""

from abc import ABC, abstractmethod
from types import TracebackType


class Closing(ABC):
    """Something to be closed."""

    @abstractmethod
    def close(self) -> None:
        """End all that runs, and leave nothing behind."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
