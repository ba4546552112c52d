"""The data types for the root directory that nix-root makes."""

from dataclasses import dataclass
from enum import StrEnum

from nix_aurora_host.nix_root import unmoved


class Unmoved(StrEnum):
    """The reason why nix-root left the root directory unchanged."""

    FAILED = unmoved.FAILED
    FAILED_BOOTS = unmoved.FAILED_BOOTS
    EXHAUSTED = unmoved.EXHAUSTED
    ETC = unmoved.ETC
    STACKED = unmoved.STACKED
    ANOTHER = unmoved.ANOTHER
    LATE = unmoved.LATE


@dataclass(frozen=True, slots=True)
class FailedBoot:
    """A failed boot that had moved the system: its kind of root directory and its kernel."""

    kind: str
    kernel: str


@dataclass(frozen=True, slots=True)
class NixRoot:
    """The state of the root directory after nix-root.service.

    ``done`` is the kind of this boot's root, overlay or binds. ``unmoved`` is why this boot has
    none, if nix-root decided that; ``failed`` are the boots that led to that. ``off`` means that
    the kernel's arguments disable it, ``asked`` is STORE_LAYOUT. ``own`` means that the root
    directory has a /nix of its own, ``writable`` that each boot can create one, ``mounted`` that
    the store is on /nix now.
    """

    done: str | None = None
    unmoved: Unmoved | None = None
    failed: tuple[FailedBoot, ...] = ()
    off: bool = False
    asked: str = "auto"
    own: bool = False
    writable: bool = False
    mounted: bool = False

    @property
    def enabled(self) -> bool:
        """Return whether boots move the system according to the settings."""
        return self.asked in {"auto", "mount"}

    @property
    def stopped(self) -> bool:
        """Return whether failed boots keep this boot, and later ones, from moving."""
        return self.unmoved in {Unmoved.FAILED_BOOTS, Unmoved.EXHAUSTED}

    @property
    def exhausted(self) -> bool:
        """Return whether no kind of root is left to try; binds are tried last."""
        last = self.failed[-1].kind if self.failed else ""
        return self.unmoved is Unmoved.EXHAUSTED or (self.stopped and last == "binds")
