"""Stop the units that use a store during a takeover, and start them again."""

from collections.abc import Collection

from nix_aurora_host import paths
from nix_aurora_host.database.daemon import end_processes
from nix_aurora_host.system import run

# The former installer's units have the same names as ours, and one more.
_STOPPED = (
    *(paths.BACKUP_TIMER, paths.BACKUP, paths.GC_TIMER, paths.GC, paths.GC_FULL),
    *("determinate-nixd.socket", paths.SOCKET, paths.DAEMON),
)
_LONG = 600.0  # seconds, for a running backup, collection or import


def stop() -> frozenset[str]:
    """Stop the daemon with its builds, the socket and the timers; return what was active."""
    states = run(["systemctl", "is-active", *_STOPPED]).stdout.split()
    # Without a running systemd, it prints nothing.
    active = {unit for unit, state in zip(_STOPPED, states, strict=False) if state == "active"}
    for unit in _STOPPED:  # one call each, since some units may not exist
        run(["systemctl", "--quiet", "stop", unit], timeout=_LONG)
    end_processes()
    return frozenset(active)


def start(active: Collection[str]) -> None:
    """Start the units that were active, except those that a connection or a timer starts."""
    for unit in _STOPPED:
        if unit in active and unit not in {paths.DAEMON, paths.GC, paths.GC_FULL}:
            run(["systemctl", "--quiet", "start", unit])
