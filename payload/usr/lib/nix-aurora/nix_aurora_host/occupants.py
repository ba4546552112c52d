"""Users of the store: processes that run from it, and mounts inside it."""

import subprocess
from collections.abc import Iterable

from nix_aurora_host import layouts, paths
from nix_aurora_host.mounts import parse
from nix_aurora_host.system import link, names, read

# Those of all layouts: after a change of the layout, the former store may still be mounted.
_PREFIXES = {layout["store"] for layout in layouts.read_all()} - {"/nix/store"}
_INSIDE = (f"{paths.BASE}/", "/nix/", *(f"{prefix}/" for prefix in sorted(_PREFIXES)))


def find_mounts(mountinfo: str, *others: str) -> list[str]:
    """Return the mount points inside the store, from the text of /proc/self/mountinfo.

    ``others`` are further directories to look in.
    """
    inside = _inside(others)
    return sorted({mount.point for mount in parse(mountinfo) if mount.point.startswith(inside)})


def _inside(others: Iterable[str]) -> tuple[str, ...]:
    return (*_INSIDE, *(f"{directory.rstrip('/')}/" for directory in others))


def find_mount_point(mountinfo: str, path: str) -> str:
    """Return the mount point that ``path`` lies on, from the text of /proc/self/mountinfo."""
    points = [mount.point for mount in parse(mountinfo)]
    over = [point for point in points if f"{path}/".startswith(f"{point.rstrip('/')}/")]
    return max(["/", *over], key=len)


def find_users(*others: str) -> Iterable[tuple[int, str]]:
    """Yield the processes that use the store, except the daemon's, which are stopped later.

    ``others`` are further directories to check.
    """
    inside = _inside(others)
    group = _control_group()
    for name in names("/proc") or ():
        if not name.isdigit() or is_in_group(read(f"/proc/{name}/cgroup") or "", group):
            continue
        for kind in ("exe", "cwd"):
            target = link(f"/proc/{name}/{kind}") or ""
            if f"{target}/".startswith(inside):
                yield int(name), target
                break


def is_in_group(text: str, group: str) -> bool:
    """Return whether a process with ``text`` in /proc/PID/cgroup is in ``group`` or below it.

    Users can give control groups below their own any name, including the name of a system group.
    """
    own = text.rstrip("\n").split("::", 1)[-1]
    return bool(group) and f"{own}/".startswith(f"{group}/")


def _control_group() -> str:
    words = ["systemctl", "show", "--property=ControlGroup", "--value", paths.DAEMON]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip()
