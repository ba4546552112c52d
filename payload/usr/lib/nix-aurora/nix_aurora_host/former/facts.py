"""The data types for leftovers of another Nix."""

from dataclasses import dataclass
from enum import StrEnum

INSTALLER = "Determinate's installer"
ANOTHER = "another Nix"


class Kind(StrEnum):
    """The kind of a trace."""

    UNIT = "unit"
    DROP_IN = "drop-in"
    LINK = "link"  # a link in a .wants or .requires directory
    FSTAB = "fstab"
    MOUNT = "mount"  # a mount on /nix
    TMPFILES = "tmpfiles"
    SCRIPT = "script"  # a script that logins read
    SETTINGS = "settings"
    POLICY = "policy"  # a module of SELinux's policy
    COPY = "copy"  # a copy that an installer made of a script
    RECEIPT = "receipt"
    PROGRAM = "program"


class Cure(StrEnum):
    """The way in which a trace is put aside."""

    MOVE = "move"
    CUT = "cut"  # some lines are removed from a file of the host
    COMMENT = "comment"  # some lines become comments
    UNMOUNT = "unmount"


@dataclass(frozen=True, slots=True)
class Trace:
    """One leftover of another Nix.

    ``whose`` is its author, ``effect`` its effect on this host, as the end of a sentence. ``unit``
    is the unit that it is, changes or starts; ``lines`` are the numbers of the affected lines if
    that is not the whole file.
    """

    kind: Kind
    path: str
    whose: str
    effect: str
    cure: Cure = Cure.MOVE
    unit: str = ""
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class FormerStore:
    """A store of another Nix: ``path`` has ``store`` and ``var/nix``.

    ``path`` is empty if the store has no path; then ``source`` is the device that is not mounted,
    or a description of the place. ``uninstaller`` means that a receipt beside it would make an
    uninstaller delete it. ``seen`` is a path through which only this process can read it.
    """

    path: str
    source: str = ""
    uninstaller: bool = False
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Former:
    """All leftovers of another Nix on this host."""

    traces: tuple[Trace, ...] = ()
    stores: tuple[FormerStore, ...] = ()

    def at(self, path: str) -> Trace | None:
        """Return the trace that is the file ``path`` or a part of it."""
        return next((trace for trace in self.traces if trace.path == path), None)

    def of_unit(self, name: str) -> Trace | None:
        """Return the trace that replaces a unit."""
        return next(
            (found for found in self.traces if found.kind is Kind.UNIT and found.unit == name), None
        )
