"""nix-root: in an early boot, give the system a root directory that has an empty /nix.

On composefs the root directory cannot get a new name. A new root is built beside it, the mounts of
the host are bound into it, and pivot_root(2) moves every process there whose root is the old one,
PID 1 included. Nothing of the running tree changes before that call: any failure leaves the old
root, and with it the namespace layout. A process that already runs in its own mount namespace keeps
the old root.
"""

import os
import sys

from nix_aurora_host import paths
from nix_aurora_host.errors import FAILED, CommandError
from nix_aurora_host.mounts import Mount, read_mounts
from nix_aurora_host.nix_root import ask, boots, unmoved
from nix_aurora_host.nix_root.build import build
from nix_aurora_host.nix_root.decide import UNITS, Stay, decide, exhausted, is_early_boot
from nix_aurora_host.nix_root.move import clean, move
from nix_aurora_host.nix_root.notes import hint, note, remove, say


def main(arguments: list[str]) -> int:
    """Move the system, or with --clean remove leftovers of a killed run; return the exit code."""
    try:
        if arguments == ["--clean"]:
            _clean_up()
        else:
            _run()
    except CommandError as error:
        return _fail(error.message)
    except OSError as error:
        return _fail(f"cannot make a root directory with /nix: {error.filename}: {error.strerror}")
    return 0


def _fail(message: str) -> int:
    print(f"nix-root: {message}\nhint: sudo nix-aurora doctor", file=sys.stderr)
    return FAILED


def _clean_up() -> None:
    failed = os.environ.get("SERVICE_RESULT", "success") != "success"  # systemd.exec(5)
    if failed and not os.path.isdir("/nix"):
        note(paths.UNMOVED, unmoved.FAILED)
    clean(_boot_id())


def _run() -> None:
    asked_now = remove(paths.MOVE_NOW)
    if _needs_nothing():
        return
    layout = ask.ask_layout()
    if layout not in {"auto", "mount"}:
        remove(paths.UNMOVED)
        say(f"{paths.SETTINGS} sets STORE_LAYOUT={layout}: the root directory is not changed")
        return
    mounts = read_mounts()
    stay = decide(
        in_time=asked_now or is_early_boot(ask.ask_units(UNITS, "ActiveState,Job")),
        mounts=mounts,
        etc_is_writable=os.access("/etc", os.W_OK),
        failed_boots=boots.count(boots.read_text(paths.PENDING)),
        mounter=_find_mounter(),
    )
    if stay is None:
        remove(paths.UNMOVED)
        _move(mounts)
    else:
        _stay(stay)


def _needs_nothing() -> bool:
    """Return whether / has a /nix, or each boot can create one."""
    return os.path.lexists("/nix") or os.access("/", os.W_OK)


def _find_mounter() -> str | None:
    """Return the unit that would mount another Nix's store on /nix."""
    units = (f"{folder}/{name}" for folder in paths.UNIT_FOLDERS for name in paths.NIX_MOUNTERS)
    if not any(map(os.path.lexists, units)):
        return None
    # Few hosts have one, and these modules take as long to load as all the others together.
    from nix_aurora_host.former.mounter import find_mount_unit  # noqa: PLC0415
    from nix_aurora_host.former.tree import Tree  # noqa: PLC0415

    found = find_mount_unit(Tree())
    return found.path if found else None


def _move(mounts: list[Mount]) -> None:
    kernel, boot = os.uname().release, _boot_id()
    try:
        kind = build(mounts, kernel)
        if kind:
            move(kind, kernel, boot)
    finally:
        clean(boot)
    if kind:
        say(f"moved the system to a read-only root directory with /nix ({kind})")
        hint("to undo this: sudo nix-aurora mount disable, and reboot")
    else:
        _stay(exhausted())


def _stay(stay: Stay) -> None:
    """Leave / unchanged, and record why; the boot's own reason outlives a later start."""
    if stay.word == unmoved.LATE and os.path.exists(paths.UNMOVED):
        return
    note(paths.UNMOVED, stay.word)
    say(f"cannot add /nix to the root directory: {stay.reason}")
    hint(stay.hint)


def _boot_id() -> str:
    return (boots.read_text("/proc/sys/kernel/random/boot_id") or "").strip()
