"""Stop the units of another Nix, and start this one."""

import os
import subprocess
import time
from collections.abc import Iterable, Sequence

from nix_aurora_host import occupants, paths, units
from nix_aurora_host.errors import CommandError
from nix_aurora_host.former.aside import SYSTEM_KINDS
from nix_aurora_host.former.facts import Kind, Trace
from nix_aurora_host.former.gather import is_ours
from nix_aurora_host.former.units import OURS
from nix_aurora_host.system import run
from nix_aurora_host.text import command, printable

# the socket starts the daemon
_ENABLED = tuple(unit for unit in units.UNITS if unit != paths.DAEMON)
_STARTED = tuple(unit for unit in _ENABLED if unit != paths.LAYOUT)
_PATIENCE = 5.0  # seconds; a stopped program ends soon
_TRIES = 16  # mounts that are stacked on each other


def stop(traces: Sequence[Trace]) -> None:
    """Stop the units that are put aside, and the daemon if one of them belongs to it."""
    theirs = {trace.unit for trace in traces if trace.kind is Kind.UNIT} - OURS
    # Stopping a mount unit would also stop the units that need it; its mount is unmounted later.
    theirs = {name for name in theirs if name.endswith((".socket", ".service"))}
    theirs.discard("nix-directory.service")  # stopping it would make / immutable
    ours = [paths.SOCKET, paths.DAEMON] if SYSTEM_KINDS & {trace.kind for trace in traces} else []
    for unit in (*sorted(theirs, reverse=True), *ours):
        run(["systemctl", "stop", unit], timeout=120)  # it may be unknown, or stopped


def forget(traces: Iterable[Trace]) -> None:
    """Make systemd reload its units, and reset the failures of removed ones."""
    _systemctl("daemon-reload")
    names = {trace.unit for trace in traces if trace.unit} | {*units.UNITS}
    for unit in sorted(names):
        run(["systemctl", "reset-failed", unit])  # it may be unknown by now


def unmount() -> None:
    """Unmount what is on /nix and is not ours; raise CommandError if it is in use."""
    run(["systemctl", "stop", "nix.automount"])  # a line of fstab may have created one
    deadline = time.monotonic() + _PATIENCE
    for _ in range(_TRIES):
        while os.path.ismount("/nix") and not is_ours():
            done = run(["umount", "/nix"])
            if done.code == 0:
                break
            if time.monotonic() > deadline:
                raise CommandError(_busy(done.stderr), "sudo systemctl reboot")
            time.sleep(0.1)
        else:
            return


def _busy(said: str) -> str:
    users = [f"process {pid}" for pid, _ in occupants.find_users()][:5]
    who = f" ({', '.join(users)})" if users else ""
    return (
        f"cannot unmount /nix: {printable(said.strip())}{who}; the rest was set aside; a reboot "
        "unmounts /nix"
    )


def start(traces: Iterable[Trace], *, whole: bool) -> None:
    """Start Nix; ``whole`` means that no leftover remains that could prevent it.

    Every unit is tried. Raise CommandError for the first that did not start.
    """
    touched = {trace.unit for trace in traces}
    enabled = [unit for unit in _ENABLED if unit in touched]
    steps = [["enable", *enabled]] if enabled else []
    steps += [["restart", paths.LAYOUT], *(["start", unit] for unit in _STARTED)]
    failures = []
    for step in steps:
        try:
            _systemctl(*step)
        except CommandError as error:
            failures.append(error)
    if failures and whole:
        raise failures[0]


def reload_daemon() -> None:
    """Make the daemon read its settings again."""
    _systemctl("try-restart", paths.DAEMON)


def remove_policy(name: str) -> None:
    """Remove a module from SELinux's policy if it is loaded."""
    installed = run(["semodule", "--list-modules"], timeout=120).stdout.split()
    if name in installed:
        done = run(["semodule", "--remove", name], timeout=600)
        if done.code:
            raise CommandError(
                f"cannot remove the SELinux module {name}: {printable(done.stderr.strip())}",
                command(["sudo", "semodule", "--remove", name]),
            )


def restore_labels(changed: Sequence[str]) -> None:
    """Restore the SELinux labels of rewritten files if SELinux is on."""
    if changed:
        run(["restorecon", *changed])


def _systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(
            f"cannot run {command(['systemctl', *words])}: exit code {done.returncode}: "
            f"{printable(done.stderr.strip())}",
            "sudo nix-aurora doctor",
        )
