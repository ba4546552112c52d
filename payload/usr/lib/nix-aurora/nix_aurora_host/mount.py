"""nix-aurora mount: a /nix for hosts whose root directory can have none."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

from nix_aurora_host import paths, settings
from nix_aurora_host.errors import USAGE, CommandError
from nix_aurora_host.facts import Pivot, SettingsFile
from nix_aurora_host.gather.pivot import gather_laggards, gather_pivot
from nix_aurora_host.text import command, printable

_PLAN = f"""\
At the next boot and at each one after it, {paths.ROOT} moves the system onto a read-only
overlay of /, which also contains /nix. Every program then sees the store in /nix.
The image, the initramfs and the boot loader stay as they are.
To undo this: sudo nix-aurora mount disable, and reboot. To skip it for one boot: add
{paths.ROOT_OFF} to the kernel arguments. If a boot fails with it, later boots do not try it.
"""
_NOW = """\
The running system also moves now. Services with a mount namespace of their own keep the old root
directory until they are restarted.
"""
_OWN = "the root directory has its own /nix"
_WRITABLE = "/ is writable, and every boot creates /nix"


class Step(StrEnum):
    """What `mount enable` has to do."""

    NOTHING = "nothing"
    ALLOW = "allow"  # only the settings forbid a /nix
    ENABLE = "enable"


def enable(*, yes: bool, now: bool, dry_run: bool) -> int:
    """Have every boot make a /nix, and with ``now`` the running system; return the exit code."""
    file = settings.gather_settings_file()
    pivot = gather_pivot(file)
    step, message = decide_enable(pivot, file, now=now)
    _say(message)
    if step is Step.NOTHING or dry_run:
        return 0
    _require_root("enable")
    if step is Step.ENABLE and not yes and not _confirm():
        _say("mount: nothing was changed")
        return 1
    _change("enable", settings.ask_no_more)
    if step is Step.ENABLE:
        _change("enable", lambda: Path(paths.PENDING).unlink(missing_ok=True))
        _systemctl("enable", paths.ROOT)
    if not now:
        _say("mount: enabled; reboot to apply it: systemctl reboot")
        return 0
    _move(root=step is Step.ENABLE)
    return 0


def decide_enable(pivot: Pivot, file: SettingsFile, *, now: bool) -> tuple[Step, str]:
    """Return what to do, and what to say first; raise CommandError where it cannot be done."""
    asked = settings.layout_without_namespace(file)
    forbidden = any(layout == "namespace" for _, layout in file.assigned)
    if asked not in {"auto", "mount"}:
        raise CommandError(
            f"cannot enable mount: {paths.SETTINGS}: expected STORE_LAYOUT=auto, got {asked}",
            settings.comment_out([line for line, _ in file.assigned]),
            code=USAGE,
        )
    if reason := needless(pivot):
        if forbidden:
            line = f"the line STORE_LAYOUT=namespace in {paths.SETTINGS} keeps the store out of it"
            return Step.ALLOW, f"mount: {reason}; {line} and will be removed"
        return Step.NOTHING, f"mount: {reason}: there is nothing to enable{_how_to_mount(pivot)}"
    if pivot.enabled and pivot.done and not forbidden:
        return Step.NOTHING, "mount: already enabled; nothing was changed"
    if now and pivot.off:
        raise CommandError(
            f"cannot enable mount: this boot has the kernel argument {paths.ROOT_OFF}",
            "sudo nix-aurora mount enable, and reboot without it",
            code=USAGE,
        )
    return Step.ENABLE, (_PLAN + (_NOW if now else "")).rstrip("\n")


def _how_to_mount(pivot: Pivot) -> str:
    if pivot.mounted or pivot.own:
        return ""
    return f"; to mount it now: sudo systemctl restart {paths.LAYOUT} {paths.MOUNT}"


def disable() -> int:
    """Have no boot make a /nix any more; return the exit code."""
    pivot = gather_pivot(settings.gather_settings_file())
    if reason := needless(pivot):
        _say(f"mount: {reason}: nothing was changed")
        return 0
    _require_root("disable")
    _change("disable", settings.ask_for_namespace)
    _change("disable", lambda: Path(paths.PENDING).unlink(missing_ok=True))
    _systemctl("disable", paths.ROOT)
    kept = "; / keeps its /nix until the next boot: systemctl reboot" if pivot.done else ""
    _say(f"mount: disabled{kept}")
    return 0


def describe(pivot: Pivot) -> dict[str, object]:
    """Return the state as JSON has it; ``laggards`` is null for anybody but root."""
    laggards = gather_laggards() if pivot.done and os.geteuid() == 0 else None
    return {
        "enabled": pivot.enabled,
        "root": pivot.done,
        "mounted": pivot.mounted,
        "failed": pivot.failed,
        "stopped": pivot.stopped,
        "switched_off": pivot.off,
        "laggards": laggards,
    }


def render(pivot: Pivot, file: SettingsFile) -> str:
    """Return the state in lines."""
    laggards = gather_laggards() if pivot.done and os.geteuid() == 0 else []
    return "".join(f"{line}\n" for line in render_lines(pivot, file, laggards))


def render_lines(pivot: Pivot, file: SettingsFile, laggards: Sequence[str]) -> list[str]:
    """Return the lines of the state, of which ``laggards`` still use the old root."""
    lines = [f"every boot  {'enabled' if pivot.enabled else 'not enabled'}"]
    lines.append(f"this boot   {explain(pivot)}")
    if laggards:
        lines.append(
            f"old root    used by these units until they are restarted: {_listed(laggards)}"
        )
    lines += [f"settings    {settings.describe_fault(fault)}" for fault in file.faults]
    return lines


def explain(pivot: Pivot) -> str:
    """Return what became of it in this boot."""
    if pivot.done:
        kind = {"overlay": "an overlay of the image", "binds": "a tmpfs with bind mounts"}
        return f"/ is {kind.get(pivot.done, printable(pivot.done))}, with /nix"
    if reason := needless(pivot):
        return reason
    if pivot.stopped:
        return "stopped, because an earlier boot with it failed: sudo nix-aurora mount enable"
    if pivot.off:
        return f"switched off by the kernel argument {paths.ROOT_OFF}"
    if pivot.failed:
        return f"failed; to see why: journalctl -b -u {paths.ROOT}"
    return "the root directory has no /nix: programs see the store only inside `nix-aurora shell`"


def needless(pivot: Pivot) -> str | None:
    """Return why the root directory needs nothing of ours to have a /nix, if so."""
    if pivot.done:
        return None
    if pivot.own:
        return _OWN
    return _WRITABLE if pivot.writable else None


def _move(*, root: bool) -> None:
    """Mount the store in the running system; ``root`` gives it the root directory for that."""
    if root and not _look().done:
        _systemctl("restart", paths.ROOT)
        if not _look().done:
            raise CommandError(
                "cannot switch the running system to the new root: nothing was changed in it",
                f"journalctl -b -u {paths.ROOT}",
            )
        _systemctl("start", paths.ROOT_GOOD)
    _systemctl("restart", paths.LAYOUT, paths.MOUNT)
    _systemctl("try-restart", paths.DAEMON)  # builds that run go on
    if not _look().mounted:
        raise CommandError(
            f"cannot mount the store: / now contains /nix, but {paths.BASE} is not mounted on it",
            f"journalctl -b -u {paths.MOUNT}",
        )
    _say(f"mount: enabled; {paths.BASE} is mounted on /nix")
    if root and (laggards := gather_laggards()):
        _say(f"mount: these units do not see /nix until they are restarted: {_listed(laggards)}")


def _look() -> Pivot:
    return gather_pivot(settings.gather_settings_file())


def _listed(units: Sequence[str]) -> str:
    return ", ".join(printable(unit) for unit in units)


def _require_root(what: str) -> None:
    if os.geteuid() != 0:
        raise CommandError(
            f"cannot run mount {what}: this needs root; nothing was changed",
            f"sudo nix-aurora mount {what}",
            code=USAGE,
        )


def _confirm() -> bool:
    if not sys.stdin.isatty():
        raise CommandError(
            "cannot enable mount: there is no terminal for the question",
            "sudo nix-aurora mount enable --yes",
            code=USAGE,
        )
    sys.stderr.write("Type yes to enable it: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _change(what: str, act: Callable[[], None]) -> None:
    """Change a file below /etc."""
    try:
        act()
    except OSError as error:
        subject = printable(error.filename or paths.SETTINGS)
        raise CommandError(
            f"cannot run mount {what}: {subject}: {error.strerror}", "findmnt --target /etc"
        ) from error


def _systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(
            f"cannot run {command(['systemctl', *words])}: exit code {done.returncode}: "
            f"{printable(done.stderr.strip())}",
            f"journalctl -b -u {words[-1]}",
        )
