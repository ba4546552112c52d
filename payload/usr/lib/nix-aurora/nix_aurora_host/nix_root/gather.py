"""Read what nix-root left in this boot, and which units still use the old root directory."""

import os
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.nix_root import boots
from nix_aurora_host.nix_root.facts import FailedBoot, NixRoot, Unmoved
from nix_aurora_host.nix_root.notes import MADE
from nix_aurora_host.settings import SettingsFile
from nix_aurora_host.system import names, read


def gather_nix_root(settings: SettingsFile) -> NixRoot:
    """Read nix-root's files, and the root directory."""
    nix = Path("/nix")
    return make_nix_root(
        made=read(MADE) or "",
        unmoved=read(paths.UNMOVED) or "",
        pending=read(paths.PENDING) or "",
        boot=(read("/proc/sys/kernel/random/boot_id") or "").strip(),
        arguments=read("/proc/cmdline") or "",
        settings=settings,
        nix=nix.is_dir() and not nix.is_symlink(),
        writable=not os.statvfs("/").f_flag & os.ST_RDONLY,
        mounted=_is_mounted(),
    )


def make_nix_root(
    *,
    made: str,
    unmoved: str,
    pending: str,
    boot: str,
    arguments: str,
    settings: SettingsFile,
    nix: bool,
    writable: bool,
    mounted: bool,
) -> NixRoot:
    """Return the state, from the system's texts and answers.

    ``made`` and ``unmoved`` are nix-root's files of this boot, whose id is ``boot``, ``pending``
    its marker, ``arguments`` the kernel's command line, ``nix`` whether / has a directory /nix.
    """
    done = made.strip() if nix else ""
    word = unmoved.strip()
    return NixRoot(
        done=done or None,
        unmoved=Unmoved(word) if not done and word in set(Unmoved) else None,
        failed=parse_pending(pending, boot),
        off=paths.ROOT_OFF in arguments.split(),
        asked=settings.layout,
        own=nix and not done,
        writable=writable,
        mounted=mounted,
    )


def parse_pending(text: str, boot: str) -> tuple[FailedBoot, ...]:
    """Parse nix-root's marker: kind, kernel and boot of each boot that has not come up.

    The one with the id ``boot`` is the current boot.
    """
    return tuple(FailedBoot(kind, kernel) for kind, kernel, id_ in boots.parse(text) if id_ != boot)


def parse_unit(cgroup: str) -> str | None:
    """Return the system unit of a process, from its /proc/PID/cgroup, cgroups(7).

    Users' programs run in their user@UID.service: only root chose that name.
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
                continue  # it was moved, or has a root that is not part of the host's
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
