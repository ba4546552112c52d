"""Run the steps of a move in their order, finish an interrupted move, and undo a move."""

import os
import sqlite3
import time

from nix_aurora_host import base_mount, disk, paths, removal
from nix_aurora_host import replace as edit
from nix_aurora_host.adopt import checks, fstab, units
from nix_aurora_host.database import sqlite
from nix_aurora_host.database.content import check_content
from nix_aurora_host.database.progress import Progress
from nix_aurora_host.database.rows import read_rows
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import syscalls
from nix_aurora_host.importer.say import say
from nix_aurora_host.mounts import read_mounts
from nix_aurora_host.move import copy
from nix_aurora_host.move.places import BEFORE, KEPT, MARKER
from nix_aurora_host.move.plan import Plan, require_unused
from nix_aurora_host.system import Outcome, run
from nix_aurora_host.text import command, printable

BY = "move"
"""The name of the command in its comment in fstab."""

_PATIENCE = 5.0  # seconds, for processes that were killed
_LONG = 600.0  # seconds, for a device that is slow to appear


def execute(plan: Plan, *, check: bool) -> int:
    """Move the store; return the number of copied names. Raise CommandError if it cannot."""
    active = units.stop()
    try:
        with checks.locked(paths.STATE):
            require_unused()
            count = _copy(plan)
            _verify(plan, check=check)
            _switch(plan)
    finally:
        run(["systemctl", "--quiet", "start", paths.STORE_MOUNT])
        units.start(active)
    return count


def _copy(plan: Plan) -> int:
    _empty(plan.directory)
    os.close(os.open(f"{plan.directory}/{MARKER}", os.O_CREAT | os.O_CLOEXEC, 0o600))
    disk.sync(plan.directory)
    with Progress("copying the store", plan.size) as progress:
        count = copy.copy(paths.BASE, plan.directory, progress)
    syscalls.sync(plan.directory)
    return count


def _empty(directory: str) -> None:
    """Remove an interrupted copy, but keep its marker."""
    for name in sorted(set(os.listdir(directory)) - {KEPT, MARKER}):
        path = f"{directory}/{name}"
        if os.path.isdir(path) and not os.path.islink(path):
            removal.empty(path)
            os.rmdir(path)
        else:
            os.unlink(path)


def _verify(plan: Plan, *, check: bool) -> None:
    """Compare the copy with the original, and its content with the hashes in the database."""
    directory, name = plan.directory, printable(plan.directory)
    say("comparing the copy")
    if (path := copy.find_difference(paths.BASE, directory)) is not None:
        raise CommandError(
            f"cannot move the store: {name}: the copy of {printable(path)} differs from the "
            "original; nothing was changed",
            command(["sudo", "nix-aurora", "move", directory]),
        )
    store, database = (directory + path[len(paths.BASE) :] for path in _CHECKED)
    if not os.path.lexists(database):  # nothing was imported yet
        return
    try:
        damage = sqlite.check_live(database)
        with sqlite.connect(database) as connection:
            rows = [] if damage else list(read_rows(connection).values())
    except sqlite3.Error as error:
        damage, rows = str(error), []
    if damage is not None:
        raise CommandError(
            f"cannot move the store: {paths.DATABASE}: {printable(damage)}; nothing was changed",
            "sudo nix-aurora doctor",
        )
    say(f"the copied database knows {len(rows)} store paths, and is whole")
    flaws = check_content(rows, store) if check else {}
    if flaws:
        first = min(flaws)
        raise CommandError(
            f"cannot move the store: {len(flaws)} store paths differ from what the database has "
            f"recorded: {printable(first)}: {flaws[first]}; nothing was changed",
            "sudo nix-store --verify --check-contents --repair",
        )


_CHECKED = (paths.STORE, paths.DATABASE)


def _switch(plan: Plan) -> None:
    """Rename the original, and mount the copy in its place."""
    edit.edit(fstab.FILE, lambda text: fstab.move_line(text, plan.line, by=BY))
    try:
        _systemctl("daemon-reload")
        _unmount_shown()
        _unmount(plan.directory)
        syscalls.rename_new(paths.BASE, BEFORE)
        os.mkdir(paths.BASE, 0o755)
        disk.sync(os.path.dirname(paths.BASE))
        _mount()
    except BaseException:
        _go_back()
        raise
    _forget()


def is_unfinished() -> bool:
    """Return whether a move was killed after /etc/fstab was replaced, and the copy is mounted."""
    mounted = base_mount.find(read_mounts()) is not None
    return mounted and os.path.lexists(f"{paths.BASE}/{MARKER}")


def finish() -> None:
    """Finish such a move: rename the former store if it is still below the mount."""
    active = units.stop()
    try:
        with checks.locked(paths.STATE):  # waits for running Nix processes
            require_unused()
        _unmount_shown()
        _unmount(paths.BASE)
        if not os.path.lexists(BEFORE):
            syscalls.rename_new(paths.BASE, BEFORE)
            os.mkdir(paths.BASE, 0o755)
            disk.sync(os.path.dirname(paths.BASE))
        _mount()
        _forget()
    finally:
        run(["systemctl", "--quiet", "start", base_mount.UNIT, paths.STORE_MOUNT])
        units.start(active)


def _forget() -> None:
    """Remove the marker: the copy is in use from now on."""
    os.unlink(f"{paths.BASE}/{MARKER}")
    disk.sync(paths.BASE)
    run(["systemd-tmpfiles", "--create", "nix-aurora.conf"])  # the label of the mount point


def _mount() -> None:
    mounted = _systemctl("start", base_mount.UNIT)
    if not os.path.lexists(f"{paths.BASE}/{MARKER}"):
        reason = printable(mounted.stderr.strip()) or "something else is mounted"
        raise CommandError(
            f"cannot move the store: {base_mount.UNIT}: {reason}; nothing was changed",
            f"journalctl -u {base_mount.UNIT}",
        )


def undo() -> None:
    """Return to the store from before the last move; raise CommandError if it is missing."""
    _require_former()
    active = units.stop()
    try:
        with checks.locked(paths.STATE):  # waits for what is at work
            require_unused()
        _unmount_shown()
        _go_back()
    finally:
        run(["systemctl", "--quiet", "start", paths.STORE_MOUNT])
        units.start(active)


def _require_former() -> None:
    with open(fstab.FILE, "rb") as file:
        line = fstab.find_moved(file.read(), by=BY)
    if line is None or not os.path.isdir(f"{BEFORE}/store"):
        missing = f"{BEFORE}: no such store" if line else f"{fstab.FILE}: no line of a move"
        raise CommandError(
            f"cannot move the store back: {missing}; nothing was changed", "findmnt --fstab"
        )


def _go_back() -> None:
    """Undo a switch after any of its steps. A boot between two steps finds one complete store."""
    while base_mount.find(read_mounts()) is not None:
        _unmount(paths.BASE)
    if os.path.lexists(BEFORE):
        if os.path.lexists(paths.BASE):
            _remove_frame()
        syscalls.rename_new(BEFORE, paths.BASE)
        disk.sync(os.path.dirname(paths.BASE))
    point = None
    with open(fstab.FILE, "rb") as file:
        if (line := fstab.find_moved(file.read(), by=BY)) is not None:
            point = line.point
    edit.edit(fstab.FILE, lambda text: fstab.give_back(text, by=BY))
    _systemctl("daemon-reload")
    if point is not None and not _is_mounted(point):
        run(["mount", point])


def _remove_frame() -> None:
    """Remove the mount point with the empty directories that systemd-tmpfiles created in it."""
    for directory, _, _ in os.walk(paths.BASE, topdown=False):
        try:
            os.rmdir(directory)
        except OSError as error:
            raise CommandError(
                f"cannot move the store: {printable(directory)}: expected an empty directory below "
                "the mount; nothing was changed",
                command(["ls", "-A", directory]),
            ) from error


def _unmount_shown() -> None:
    """Unmount /nix. Every unit that needs it is stopped."""
    if _is_mounted(paths.AT):
        _unmount(paths.AT)


def _is_mounted(point: str) -> bool:
    """Return whether a directory is a mount point, even for a bind on the same file system."""
    path = os.path.realpath(point)
    return any(mount.point == path for mount in read_mounts())


def _unmount(point: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while (done := run(["umount", point])).code:
        if time.monotonic() >= deadline:
            reason = printable(done.stderr.strip().rstrip("."))
            raise CommandError(
                f"cannot move the store: {reason}; nothing was changed",
                command(["sudo", "fuser", "--verbose", "--mount", point]),
            )
        time.sleep(0.1)


def _systemctl(*words: str) -> Outcome:
    return run(["systemctl", *words], timeout=_LONG)
