"""``nix-aurora purge``: remove all files of Nix from this host."""

import argparse
import os
import subprocess
import time
from collections.abc import Collection
from pathlib import Path

from nix_aurora_host import base_mount, layouts, mounts, occupants, paths, removal, units
from nix_aurora_host.collection import switch
from nix_aurora_host.commands.command import Command, add_dry_run, add_yes
from nix_aurora_host.dialog import confirm, require_root, require_terminal, say
from nix_aurora_host.errors import CommandError
from nix_aurora_host.gpu import place as gpu
from nix_aurora_host.report.purge import tell_leftovers, tell_what_next
from nix_aurora_host.system import names, run
from nix_aurora_host.text import command, human, printable

_STOPPED = tuple(unit for unit in reversed(units.UNITS) if unit != paths.SOCKET)
_STARTED = tuple(unit for unit in units.UNITS if unit != paths.DAEMON)  # the socket starts it
_TIMERS = (paths.BACKUP_TIMER, paths.GC_TIMER)
_PATIENCE = 5.0  # seconds
_BASE = Path(paths.BASE)
_NIX = Path("/nix")
_RELOCATED = [layout for layout in layouts.read_all() if layouts.is_relocated(layout)]
_SHOWN = (_NIX, *(Path(layout["store"]) for layout in _RELOCATED))
# These are renamed in this order: the stamp before the database, and the database before the store.
# So the boot after an interrupted purge imports again, or finds everything unchanged.
_FIRST = (".nix-aurora", *(Path(layout["home"]).name for layout in _RELOCATED), "var", "store")
_UNCHANGED = "nothing was changed"
_STARTED_AGAIN = "nothing was removed, and Nix is started again"


def purge(*, yes: bool, dry_run: bool) -> int:
    """Remove store, profiles and database, and return the exit code."""
    if not dry_run:
        require_root("purge the store", "purge")
    if not dry_run and not yes:
        require_terminal("purge the store", "purge")
    _refuse_link()
    base_mount.require_mounted()
    if _BASE.is_dir():
        size = human(removal.measure(paths.BASE))
        say(f"{_BASE}: {size} with every store path, every profile and the database")
    else:
        say(f"{_BASE}: no such directory")
    if dry_run:
        for path in gpu.find_made():
            say(f"{path}: would be removed")
        tell_leftovers()
        return 0
    _refuse_mounts_inside(_UNCHANGED)
    _refuse_while_used(_UNCHANGED)
    if not yes:
        say("This cannot be undone. Every user of this host loses what they installed with Nix.")
        if not confirm("remove it"):
            say("purge: nothing was removed")
            return 1
        # A mount may have appeared while the command waited for the answer.
        _refuse_mounts_inside(_UNCHANGED)
        _refuse_while_used(_UNCHANGED)
    active = _find_active()
    _stop()
    try:
        _unmount()
        _refuse_while_used(_STARTED_AGAIN, _PATIENCE)
        _refuse_mounts_inside(_STARTED_AGAIN)
        _refuse_link()
    except CommandError:
        _start(active)
        raise
    try:
        _remove()
    finally:  # the next boot would start it; the next import starts the others
        _start(active & {*_TIMERS})
    if switch.is_on():  # in an image without the package, its link leads nowhere
        switch.turn_off()
        say("The weekly collection of garbage is disabled.")
    tell_leftovers()
    tell_what_next(_STARTED)
    return 0


def _refuse_link() -> None:
    if _BASE.is_symlink():
        raise CommandError(
            f"cannot purge the store: {_BASE}: expected a directory, got a link to "
            f"{printable(str(_BASE.readlink()))}; nothing was removed",
            command(["ls", "-l", str(_BASE)]),
        )


def _refuse_mounts_inside(so_far: str) -> None:
    if inside := occupants.find_mounts(mounts.read_table()):
        raise CommandError(
            f"cannot purge the store: {printable(inside[0])}: something is mounted inside the "
            f"store; {so_far}",
            command(["sudo", "umount", *_without_copies(inside)]),
        )


def _without_copies(inside: list[str]) -> list[str]:
    """Return the mount points in the order to unmount them, each once.

    A mount below /var/lib/nix also appears below /nix, and one umount removes both.
    """
    stored = f"{paths.BASE}/"
    copies = {f"{_NIX}/{point[len(stored) :]}" for point in inside if point.startswith(stored)}
    return [point for point in reversed(inside) if point not in copies]


def _refuse_while_used(so_far: str, patience: float = 0.0) -> None:
    """Raise CommandError if a process uses the store: it would lose its files, and /nix is busy."""
    deadline = time.monotonic() + patience  # killed processes end soon
    while (users := list(occupants.find_users())) and time.monotonic() < deadline:
        time.sleep(0.1)
    if not users:
        return
    for pid, program in users[:10]:
        say(f"  process {pid}: {printable(program)}")
    count = f"{len(users)} processes use" if len(users) > 1 else "1 process uses"
    raise CommandError(
        f"cannot purge the store: {count} it; {so_far}",
        command(["sudo", "kill", *(str(pid) for pid, _ in users)]),
    )


def _find_active() -> set[str]:
    asked = (*_STARTED, *_TIMERS)
    states = run(["systemctl", "is-active", *asked]).stdout.split()
    # If systemd is not running, it prints nothing.
    return {unit for unit, state in zip(asked, states, strict=False) if state == "active"}


def _start(active: Collection[str]) -> None:
    """Start the units that were active before purge stopped them."""
    if again := [unit for unit in (*_STARTED, *_TIMERS) if unit in active]:
        _systemctl("start", *again)


def _stop() -> None:
    _systemctl("stop", *units.BACKUP, *units.COLLECTION)  # separately, as they may be missing
    _systemctl("stop", paths.SOCKET)
    # The unit lets builds outlive a stopped daemon, but they cannot outlive their store.
    _systemctl("kill", "--kill-whom=all", "--signal=SIGKILL", paths.DAEMON)
    _systemctl("stop", *_STOPPED)
    _systemctl("reset-failed", *_STOPPED)


def _systemctl(*words: str) -> None:
    # If systemd or the unit is not running, there is nothing to stop.
    subprocess.run(["systemctl", "--quiet", *words], capture_output=True, check=False)


def _unmount() -> None:
    deadline = time.monotonic() + _PATIENCE
    while mounted := [str(path) for path in _SHOWN if path.is_mount()]:
        done = subprocess.run(["umount", *mounted], capture_output=True, text=True, check=False)
        if done.returncode and time.monotonic() < deadline:
            time.sleep(0.1)  # killed processes hold it until they have ended
        elif done.returncode:
            raise CommandError(
                f"cannot purge the store: umount: {printable(done.stderr.strip())}; "
                f"{_STARTED_AGAIN}",
                "sudo nix-aurora purge",
            )


def _remove() -> None:
    try:
        _remove_base()
    except removal.CrossingError as error:
        raise CommandError(
            f"cannot remove {printable(error.filename)}: something is mounted there; a part of the "
            "store was removed",
            f"sudo umount {command([error.filename])} && sudo nix-aurora purge",
        ) from error
    except OSError as error:
        name = os.fsdecode(error.filename or paths.BASE)
        raise CommandError(
            f"cannot remove {printable(name)}: {error.strerror}; a part of the store was removed",
            "sudo nix-aurora purge",
        ) from error
    _remove_gpu()
    _remove_mount_point()


def _remove_gpu() -> None:
    """Remove the graphics drivers' link into the store, which each boot would create again."""
    try:
        for path in gpu.disable():
            say(f"{path}: removed")
    except OSError as error:
        name = os.fsdecode(error.filename or paths.GPU_TMPFILES)
        raise CommandError(
            f"cannot remove {printable(name)}: {error.strerror}; the store was removed",
            "sudo nix-aurora gpu disable",
        ) from error


def _remove_base() -> None:
    if not _BASE.is_dir():
        return
    removal.empty(str(_BASE), _FIRST)
    if _BASE.is_mount():
        say(f"{_BASE}: emptied; it is a mount point and is kept")
    else:
        _BASE.rmdir()
        say(f"{_BASE}: removed")


def _remove_mount_point() -> None:
    if _NIX.is_dir() and not _NIX.is_symlink() and not names("/nix"):
        try:
            _NIX.rmdir()
            say("/nix: removed")
        except OSError:  # the root is read-only, or /nix is part of the image
            say("/nix: empty; the image contains it, so it is kept")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_yes(parser)
    add_dry_run(parser)


def _run(arguments: argparse.Namespace) -> int:
    return purge(yes=arguments.yes, dry_run=arguments.dry_run)


COMMAND = Command(
    "remove the store and everything in it, after asking",
    "Remove the store, the database, and the profiles of all users. Purge refuses to run while "
    "programs of the store run.",
    _run,
    _add_arguments,
    (("sudo nix-aurora purge --dry-run", "show what purge would remove"),),
)
