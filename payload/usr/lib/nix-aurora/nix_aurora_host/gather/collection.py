"""Whether garbage is collected automatically, and what a collection would free."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nix_aurora_host import units
from nix_aurora_host.collection import limits
from nix_aurora_host.collection.dead import Dead, estimate
from nix_aurora_host.settings import SettingsFile
from nix_aurora_host.system import run

_PROPERTIES = (
    *("Id", "UnitFileState", "ActiveState", "Result"),
    *("NextElapseUSecRealtime", "ExecMainExitTimestamp"),
)


@dataclass(frozen=True, slots=True)
class Garbage:
    """The timer of collections, the last run of its service, and the limits of free space.

    ``state`` is the output of is-enabled for the timer. ``next`` and ``last`` are times as systemd
    prints them, empty if there are none. ``days`` is how long generations stay. ``limits`` are
    those that Nix reads. ``dead`` is None if only root can find it, or if that took too long.
    """

    state: str = "disabled"
    active: bool = False
    next: str = ""
    last: str = ""
    failed: bool = False
    days: int = 30
    limits: Mapping[str, str] = field(default_factory=dict)
    dead: Dead | None = None

    @property
    def enabled(self) -> bool:
        """Return whether garbage is collected automatically."""
        return self.state.startswith("enabled")


def gather_garbage(settings: SettingsFile) -> Garbage:
    """Ask systemd, read Nix's settings, and estimate what a collection would free."""
    words = ["systemctl", "show", f"--property={','.join(_PROPERTIES)}", *units.COLLECTION]
    blocks = parse_units(run(words).stdout)
    timer, service, _, full = (blocks.get(name, {}) for name in units.COLLECTION)
    return Garbage(
        state=timer.get("UnitFileState", "") or "unknown",
        active=timer.get("ActiveState") == "active",
        next=timer.get("NextElapseUSecRealtime", ""),
        last=service.get("ExecMainExitTimestamp", ""),
        failed="failed" in {service.get("ActiveState"), full.get("ActiveState")},
        days=settings.days,
        limits=limits.read_values(),
        dead=estimate(),
    )


def parse_units(text: str) -> dict[str, dict[str, str]]:
    """Return the properties of each unit, by its name, from the output of systemctl show."""
    found = {}
    for block in text.split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[pairs.pop("Id", "")] = pairs
    return found
