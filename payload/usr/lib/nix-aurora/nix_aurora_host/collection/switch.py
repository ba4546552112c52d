"""Turn the weekly collection on and off."""

import os
import subprocess
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.collection import limits
from nix_aurora_host.collection.limits import Limits
from nix_aurora_host.errors import CommandError
from nix_aurora_host.text import command, printable

_SYSTEMD = "/run/systemd/system"
_LINK = f"/etc/systemd/system/timers.target.wants/{paths.GC_TIMER}"


def turn_on(chosen: Limits) -> None:
    """Start the timer, now and at each boot, and let builds collect; raise CommandError."""
    try:
        limits.write(chosen)
    except OSError as error:
        raise _unchanged("enable", error) from error
    _systemctl("enable", *_now(), paths.GC_TIMER)
    _restart_daemon()


def turn_off() -> None:
    """Undo turn_on(), even if it was interrupted; raise CommandError."""
    _systemctl("disable", *_now(), paths.GC_TIMER)
    if _now():
        # Remove the time of the last run: a timer that is enabled again must not run at once.
        _systemctl("clean", "--what=state", paths.GC_TIMER)
    try:
        limits.remove()
    except OSError as error:
        raise _unchanged("disable", error) from error
    _restart_daemon()


def is_on() -> bool:
    """Return whether turn_off() would change the host."""
    return os.path.lexists(_LINK) or os.path.lexists(paths.GC_CONF)


def _now() -> list[str]:
    """Return the option that also starts or stops a unit; none while an image is built."""
    return ["--now"] if Path(_SYSTEMD).is_dir() else []


def _unchanged(what: str, error: OSError) -> CommandError:
    subject = printable(str(error.filename or paths.GC_CONF))
    return CommandError(
        f"cannot run gc {what}: {subject}: {error.strerror}", "findmnt --target /etc"
    )


def _restart_daemon() -> None:
    """Make the daemon read its settings again; running builds continue."""
    if _now():
        _systemctl("try-restart", paths.DAEMON)


def _systemctl(*words: str) -> None:
    line = ["systemctl", "--quiet", *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(
            f"cannot run {command(line)}: exit code {done.returncode}: "
            f"{printable(done.stderr.strip())}",
            f"journalctl -b -u {words[-1]}",
        )
