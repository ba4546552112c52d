"""Whether boots move the system onto a root directory with /nix, and whether this one did."""

import re
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.facts import Pivot
from nix_aurora_host.system import read, run

_ASKED = re.compile(r"^\s*STORE_LAYOUT=[\"']?(\w+)", re.MULTILINE)


def gather_pivot() -> Pivot:
    """Look at nix-root.service and what it leaves."""
    show = ["systemctl", "show", "--property=UnitFileState,ActiveState", paths.ROOT]
    pairs = dict(line.split("=", 1) for line in run(show).stdout.splitlines() if "=" in line)
    asked = _ASKED.findall(read(paths.SETTINGS) or "")
    done = (read(f"{paths.RUN}/root") or "").strip() if Path("/nix").is_dir() else ""
    return Pivot(
        enabled=pairs.get("UnitFileState", "").startswith("enabled"),
        failed=pairs.get("ActiveState") == "failed",
        done=done or None,
        stopped=not done and Path(paths.PENDING).exists(),
        off=paths.ROOT_OFF in (read("/proc/cmdline") or "").split(),
        asked=asked[-1] if asked else "auto",
    )
