"""Whether boots move the system onto a root directory with /nix, and whether this one did."""

import os
from collections.abc import Mapping
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.facts import Pivot, SettingsFile
from nix_aurora_host.system import names, read, run


def gather_pivot(settings: SettingsFile) -> Pivot:
    """Look at nix-root.service, at what it leaves, and at the root directory."""
    show = ["systemctl", "show", "--property=UnitFileState,ActiveState", paths.ROOT]
    nix = Path("/nix")
    return make_pivot(
        unit=parse_properties(run(show).stdout),
        made=read(f"{paths.RUN}/root") or "",
        pending=os.path.lexists(paths.PENDING),
        arguments=read("/proc/cmdline") or "",
        settings=settings,
        nix=nix.is_dir() and not nix.is_symlink(),
        writable=not os.statvfs("/").f_flag & os.ST_RDONLY,
        mounted=_is_mounted(),
    )


def make_pivot(
    *,
    unit: Mapping[str, str],
    made: str,
    pending: bool,
    arguments: str,
    settings: SettingsFile,
    nix: bool,
    writable: bool,
    mounted: bool,
) -> Pivot:
    """Return the state, from the texts and answers that the system gave.

    ``unit`` has the properties of nix-root.service, ``made`` is what it wrote for this boot,
    ``pending`` whether its marker is there, ``arguments`` the kernel's command line, ``nix``
    whether / has a directory /nix.
    """
    done = made.strip() if nix else ""
    return Pivot(
        enabled=unit.get("UnitFileState", "").startswith("enabled"),
        failed=unit.get("ActiveState") == "failed",
        done=done or None,
        stopped=pending and not done,
        off=paths.ROOT_OFF in arguments.split(),
        asked=settings.layout,
        own=nix and not done,
        writable=writable,
        mounted=mounted,
    )


def parse_properties(text: str) -> dict[str, str]:
    """Parse what `systemctl show` prints of one unit."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def parse_unit(cgroup: str) -> str | None:
    """Return the system unit that a process belongs to, by its /proc/PID/cgroup, cgroups(7).

    What users run is in their user@UID.service: only that is a name that root gave.
    """
    lines = cgroup.splitlines()
    unified = next((line for line in lines if line.startswith("0::")), "")
    for part in unified.removeprefix("0::").split("/"):
        if part.endswith((".service", ".scope")):
            return part
    return None


def gather_laggards() -> list[str]:
    """Return the units with processes that still use the root directory without /nix."""
    units = set()
    for name in names("/proc") or ():
        root = Path("/proc", name, "root")
        if not name.isdigit():
            continue
        try:
            if (root / "nix").exists() or not (root / "run/nix-aurora").exists():
                continue  # moved, or in a root that is no part of the host's
        except OSError:  # the process has ended
            continue
        if unit := parse_unit(read(f"/proc/{name}/cgroup") or ""):
            units.add(unit)
    return sorted(units)


def _is_mounted() -> bool:
    try:
        return Path("/nix").samefile(paths.BASE)
    except OSError:
        return False
