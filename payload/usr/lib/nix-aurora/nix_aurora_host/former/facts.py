"""What another Nix has left: data alone."""

from dataclasses import dataclass
from enum import StrEnum

INSTALLER = "Determinate's installer"
ANOTHER = "another Nix"


class Kind(StrEnum):
    """What a trace is."""

    UNIT = "unit"
    DROP_IN = "drop-in"
    LINK = "link"  # in a .wants or .requires directory
    FSTAB = "fstab"
    MOUNT = "mount"  # on /nix
    TMPFILES = "tmpfiles"
    SCRIPT = "script"  # that logins read
    SETTINGS = "settings"
    POLICY = "policy"  # a module of SELinux's
    COPY = "copy"  # that an installer made of a script
    RECEIPT = "receipt"
    PROGRAM = "program"


class Cure(StrEnum):
    """How a trace is put aside."""

    MOVE = "move"
    CUT = "cut"  # some lines of a file that is the host's
    COMMENT = "comment"  # the same, and they stay as comments
    UNMOUNT = "unmount"


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing that another Nix has left.

    ``whose`` is who made it, ``effect`` what it does here, as the end of a sentence. ``unit`` is
    the unit that it is, changes or starts, ``lines`` are the numbers of the lines that are meant
    where that is not the whole file.
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

    ``source`` is the device where it is not mounted; then ``path`` is empty. ``uninstaller`` means
    that the receipt which tells an uninstaller to delete it is beside it.
    """

    path: str
    source: str = ""
    uninstaller: bool = False


@dataclass(frozen=True, slots=True)
class Former:
    """All that another Nix has left on this host."""

    traces: tuple[Trace, ...] = ()
    stores: tuple[FormerStore, ...] = ()

    def at(self, path: str) -> Trace | None:
        """Return the trace that is the file ``path`` or a part of it."""
        return next((trace for trace in self.traces if trace.path == path), None)

    def of_unit(self, name: str) -> Trace | None:
        """Return what takes the place of a unit."""
        return next(
            (found for found in self.traces if found.kind is Kind.UNIT and found.unit == name), None
        )
