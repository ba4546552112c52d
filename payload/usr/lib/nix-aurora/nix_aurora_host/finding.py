"""A finding of doctor about a fault."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """The severity of a finding. ERROR: Nix does not work, or soon will not. NOTE: good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault: ``id`` is ``kind`` or ``kind:subject`` and stays the same between releases.

    ``fix`` is one line for a shell that corrects the fault; None if no command can.
    """

    id: str
    severity: Severity
    message: str
    fix: str | None

    @property
    def kind(self) -> str:
        """Return the id without its subject."""
        return self.id.partition(":")[0]
