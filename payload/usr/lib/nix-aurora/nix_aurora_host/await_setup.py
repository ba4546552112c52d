"""Let a nix command wait while Nix is being set up, or say why Nix cannot start."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from nix_aurora_host import base_mount, layouts, paths
from nix_aurora_host.system import run

_START = "/usr/libexec/nix-aurora/start-nix"
_SYSTEMD = Path("/run/systemd/system")
_RECOVERY = Path(paths.RECOVERY)
_PROPERTIES = "LoadState,ActiveState,Job,ConditionResult,ConditionTimestampMonotonic"
_PAUSE = 0.1  # seconds between two checks
_REPORT = 10.0  # seconds between two lines of progress
_FAILED = 1  # not 127, after which shells suggest to install the command


def main(program: str, arguments: Sequence[str]) -> int:
    """Start ``program`` once Nix is set up; return the exit code if that fails.

    ``program`` is a path in the store, as programs see it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this as it ends a shell script
    name = os.path.basename(program)  # noqa: PTH119 - a string
    if not _SYSTEMD.is_dir():
        _say(
            name,
            "Nix is set up at boot by systemd, which is not running here.",
            "boot this image, or start the container with the host's /nix mounted",
        )
        return _FAILED
    if base_mount.is_missing():
        _say(name, *explain_missing())
        return _FAILED
    state = _wait(program, arguments)
    _start_if_ready(program, arguments)  # it may have appeared just before the unit was done
    _say(name, *explain(program, state, shown=is_shown(program, layouts.read_chosen())))
    return _FAILED


def _wait(program: str, arguments: Sequence[str]) -> str:
    """Wait until the set-up has ended; return the final state of the unit."""
    name = os.path.basename(program)  # noqa: PTH119 - a string
    waiting = False
    next_report = time.monotonic()
    while (state := _read_state()) == "activating":
        if not waiting:
            _say(name, f"waiting for {paths.SETUP}, which is setting up Nix (Ctrl-C to give up)")
            waiting = True
        time.sleep(_PAUSE)
        # Only a set-up that restores a lost database from a copy takes long.
        if time.monotonic() >= next_report and (progress := _read_progress()):
            _say(name, progress)
            next_report = time.monotonic() + _REPORT
        _start_if_ready(program, arguments)
    return state


def _start_if_ready(program: str, arguments: Sequence[str]) -> None:
    if is_ready(program, layouts.read_chosen()):
        # Python ignores this signal, which the program would inherit.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execv(_START, [_START, program, *arguments])  # noqa: S606 - this needs no shell


def is_ready(program: str, layout: dict[str, str]) -> bool:
    """Return whether start-nix can start ``program`` in ``layout``."""
    if layouts.is_relocated(layout):
        return os.access(f"{layout['home']}/closure/closure", os.R_OK)
    if layout["layout"] == "namespace" and _lies_in_store(program):
        return True
    return os.access(program, os.X_OK)


def is_shown(program: str, layout: dict[str, str]) -> bool:
    """Return whether /nix shows the store; also true if ``program`` does not need that."""
    if layouts.is_relocated(layout) or not _lies_in_store(program):
        return True
    try:
        return Path("/nix/store").samefile(f"{paths.BASE}/store")
    except OSError:
        return False


def _lies_in_store(program: str) -> bool:
    """Return whether the store contains the store path of ``program``, without looking at /nix."""
    path = f"{paths.BASE}{program.removeprefix('/nix')}"
    return os.path.isdir(path.rpartition("/bin/")[0])  # noqa: PTH112 - a string


def _read_progress() -> str:
    try:
        return _RECOVERY.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except OSError:  # the process has just ended
        return ""


def _read_state() -> str:
    return parse_state(run(["systemctl", "show", paths.SETUP, f"--property={_PROPERTIES}"]).stdout)


def parse_state(text: str) -> str:
    """Parse the output of systemctl show for the unit.

    Return ``masked``, ``activating`` (also while the unit's job waits), or else systemd's
    ActiveState. A unit that had nothing to do at its last start counts as active.
    """
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    state = values.get("ActiveState", "")
    if values.get("Job", "0") not in {"", "0"}:
        return "activating"
    if values.get("LoadState") == "masked":
        return "masked"
    was_asked = values.get("ConditionTimestampMonotonic", "0") not in {"", "0"}
    if state == "inactive" and values.get("ConditionResult") == "no" and was_asked:
        return "active"
    return state


def explain_missing() -> tuple[str, ...]:
    """Return why no program starts while the store's own file system is missing, and the hints."""
    return (
        f"the file system that belongs on {paths.BASE} is not mounted.",
        "sudo nix-aurora doctor",
        f"systemctl status {base_mount.UNIT}",
    )


def explain(program: str, state: str, *, shown: bool) -> tuple[str, ...]:
    """Return why ``program`` cannot start in a state of the unit, and the hints."""
    restart = f"sudo systemctl restart {paths.SETUP}"
    if not shown:
        return (
            "Nix is set up, but /nix is not its store.",
            f"sudo systemctl restart {paths.MOUNT}",
        )
    if state == "failed":
        return "setting up Nix has failed.", f"journalctl -u {paths.SETUP}", restart
    if state == "masked":
        unmask = f"sudo systemctl unmask {paths.SETUP}"
        return f"Nix is not set up: {paths.SETUP} is masked.", unmask, restart
    if state == "active":
        return f"{program} is missing, though Nix has been set up.", restart
    return "Nix is not set up yet.", f"sudo systemctl start {paths.SETUP}"


def _say(name: str, message: str, *hints: str) -> None:
    lines = [f"{name}: {message}", *(f"hint: {hint}" for hint in hints)]
    sys.stderr.write("".join(f"{line}\n" for line in lines))
