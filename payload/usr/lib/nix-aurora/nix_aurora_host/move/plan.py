"""Plan a move, or refuse it. Nothing is changed yet."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nix_aurora_host import base_mount, paths, removal
from nix_aurora_host.adopt import fstab, trusted
from nix_aurora_host.adopt.checks import check_unused
from nix_aurora_host.errors import CommandError
from nix_aurora_host.former.mounts import Line
from nix_aurora_host.mounts import read_mounts
from nix_aurora_host.move.places import BEFORE, KEPT, MARKER
from nix_aurora_host.system import read
from nix_aurora_host.text import command, human, printable

_ADOPT = re.compile(r"^cannot adopt [^:]*: ")
_SPARE = 64 << 20  # bytes that the file system keeps free


@dataclass(frozen=True, slots=True)
class Plan:
    """A move to the file system that ``line`` of fstab mounts on ``directory``.

    ``size`` is the store's size in bytes, ``free`` the free space. ``again`` means that an
    interrupted copy is removed first.
    """

    directory: str
    line: Line
    size: int
    free: int
    again: bool


@contextmanager
def rephrased() -> Iterator[None]:
    """Replace "cannot adopt" in the errors of checks that a takeover shares."""
    try:
        yield
    except CommandError as error:
        message = _ADOPT.sub("cannot move the store: ", error.message)
        raise CommandError(message, error.hint, code=error.code) from error


def require_unused() -> None:
    """Raise CommandError if programs use the store, or something is mounted inside it."""
    with rephrased():
        check_unused(paths.BASE)


def make_plan(directory: str) -> Plan:
    """Return the plan; raise CommandError if the store or the file system does not allow a move."""
    _require_plain_base()
    target = os.path.realpath(directory)
    name = printable(target)
    if not any(mount.point == target for mount in read_mounts()):
        raise CommandError(
            f"cannot move the store: {name}: expected a mount point; nothing was changed",
            command(["findmnt", "--target", target]),
        )
    line = _find_line(target)
    with rephrased():
        trusted.require_trusted(target)
    _require_options(target)
    names = set(os.listdir(target)) - {KEPT}
    if names and MARKER not in names:
        first = printable(min(names))
        raise CommandError(
            f"cannot move the store: {name}: expected an empty file system, got {first}; nothing "
            "was changed",
            command(["ls", "-A", target]),
        )
    require_unused()
    size = removal.measure(paths.BASE, across=True)
    space = os.statvfs(target)
    free = space.f_bavail * space.f_frsize
    if MARKER in names:
        free += removal.measure(target)
    if free < size + _SPARE:
        raise CommandError(
            f"cannot move the store: {name}: expected {human(size + _SPARE)} of free space, got "
            f"{human(free)}; nothing was changed",
            "sudo nix-aurora gc run",
        )
    return Plan(target, line, size, free, MARKER in names)


def _require_plain_base() -> None:
    """Raise CommandError if /var/lib/nix is not an ordinary directory with a store.

    A mount on /var/lib/nix is refused, because its store could not be kept beside the new one.
    """
    base, reason, hint = paths.BASE, "", ""
    if os.path.islink(base):
        reason, hint = "it is a link", "sudo nix-aurora doctor"
    elif base_mount.find(read_mounts()) is not None:
        reason, hint = "it is a mount point already", f"findmnt {base}"
    elif base_mount.is_missing():
        reason, hint = "its file system is not mounted", "sudo nix-aurora doctor"
    elif not os.path.isdir(paths.STORE):
        reason, hint = "it has no store", "sudo nix-aurora doctor"
    elif os.path.lexists(paths.ADOPTION):
        reason, hint = "a takeover is not complete", "sudo nix-aurora adopt"
    elif os.path.lexists(BEFORE):
        reason, hint = f"a former move has left {BEFORE}", f"ls -A {BEFORE}"
    if reason:
        raise CommandError(f"cannot move the store: {base}: {reason}; nothing was changed", hint)


def _find_line(target: str) -> Line:
    lines = fstab.parse(os.fsencode(read(fstab.FILE) or ""))
    if any(line.point == paths.BASE for line in lines):
        raise CommandError(
            f"cannot move the store: {fstab.FILE}: it has a line for {paths.BASE}; nothing was "
            "changed",
            "findmnt --fstab",
        )
    found = [line for line in lines if os.path.realpath(line.point) == target]
    if len(found) != 1:
        raise CommandError(
            f"cannot move the store: {fstab.FILE}: expected one line that mounts "
            f"{printable(target)}, got {len(found)}; nothing was changed",
            "findmnt --fstab",
        )
    return found[0]


def _require_options(target: str) -> None:
    flags = os.statvfs(target).f_flag
    for flag, option, instead in ((os.ST_RDONLY, "ro", "rw"), (os.ST_NOEXEC, "noexec", "exec")):
        if flags & flag:
            raise CommandError(
                f"cannot move the store: {printable(target)}: it is mounted with {option}; "
                "nothing was changed",
                command(["sudo", "mount", "-o", f"remount,{instead}", target]),
            )
