"""Close objects when a ``with`` block ends."""

from abc import ABC, abstractmethod
from types import TracebackType


class Closing(ABC):
    """An object that must be closed."""

    @abstractmethod
    def close(self) -> None:
        """End all processes, and leave nothing behind."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
