"""What keeps the store in use: processes that run from it, and mounts inside it."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from nix_aurora_host import layouts, paths
from nix_aurora_host.system import link, names, read

# Every layout's: the store of one may still be shown after another was asked for.
_PREFIXES = {layout["store"] for layout in layouts.read_all()} - {"/nix/store"}
_INSIDE = (f"{paths.BASE}/", "/nix/", *(f"{prefix}/" for prefix in sorted(_PREFIXES)))
_OCTAL = re.compile(r"\\([0-7]{3})")


def find_mounts(mountinfo: str, *others: str) -> list[str]:
    """Return what is mounted inside the store, from the text of /proc/self/mountinfo.

    ``others`` are further directories to look in.
    """
    points = [_unescape(line.split(" ")[4]) for line in mountinfo.split("\n") if line]
    return sorted({point for point in points if point.startswith(_inside(others))})


def _inside(others: Iterable[str]) -> tuple[str, ...]:
    return (*_INSIDE, *(f"{directory.rstrip('/')}/" for directory in others))


def find_mount_point(mountinfo: str, path: str) -> str:
    """Return the mount point that ``path`` lies on, from the text of /proc/self/mountinfo."""
    points = ["/"]
    for line in mountinfo.splitlines():
        point = _unescape((line.split(" ")[4:] or [""])[0])
        if path == point or path.startswith(f"{point}/"):
            points.append(point)
    return max(points, key=len)


def _unescape(text: str) -> str:
    """Return what mountinfo spells with octal escapes; proc_pid_mountinfo(5)."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def read_mounts() -> str:
    """Return the text of /proc/self/mountinfo."""
    # Names of mount points are bytes, and unmounting needs each as it is.
    return os.fsdecode(Path("/proc/self/mountinfo").read_bytes())


def find_users(*others: str) -> Iterable[tuple[int, str]]:
    """Yield processes that run from the store or stay in it; the daemon's own are stopped later.

    ``others`` are further directories to look for.
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

    Users name control groups below their own as they like, also after one of the system.
    """
    own = text.rstrip("\n").split("::", 1)[-1]
    return bool(group) and f"{own}/".startswith(f"{group}/")


def _control_group() -> str:
    words = ["systemctl", "show", "--property=ControlGroup", "--value", paths.DAEMON]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip()
