"""The units that use a store: stopped for the time of a takeover, and started again."""

from collections.abc import Collection

from nix_aurora_host import paths
from nix_aurora_host.database.daemon import end_processes
from nix_aurora_host.system import run

# The former installer's units have the names of ours, and one more.
_STOPPED = (paths.BACKUP_TIMER, paths.BACKUP, "determinate-nixd.socket", paths.SOCKET, paths.DAEMON)
_LONG = 600.0  # seconds, for a backup or an import that is under way


def stop() -> frozenset[str]:
    """Stop the daemon with its builds, the socket and the backup; return what was active."""
    states = run(["systemctl", "is-active", *_STOPPED]).stdout.split()
    # Where no system is running, it prints nothing.
    active = {unit for unit, state in zip(_STOPPED, states, strict=False) if state == "active"}
    for unit in _STOPPED:  # by calls of their own: some may not be there
        run(["systemctl", "--quiet", "stop", unit], timeout=_LONG)
    end_processes()
    return frozenset(active)


def start(active: Collection[str]) -> None:
    """Start again what was active, but for what a connection starts."""
    for unit in _STOPPED:
        if unit in active and unit != paths.DAEMON:
            run(["systemctl", "--quiet", "start", unit])
