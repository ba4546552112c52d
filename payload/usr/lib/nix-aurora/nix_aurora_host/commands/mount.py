"""nix-aurora mount: a /nix for hosts whose root directory can have none."""

import os
import subprocess
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

from nix_aurora_host import paths, replace, settings
from nix_aurora_host.dialog import confirm, require_terminal, say
from nix_aurora_host.errors import USAGE, CommandError
from nix_aurora_host.nix_root.facts import NixRoot
from nix_aurora_host.nix_root.gather import gather_laggards, gather_nix_root
from nix_aurora_host.nix_root.words import explain, listed, needless, unsuitable
from nix_aurora_host.settings import SettingsFile
from nix_aurora_host.text import command, printable

_PLAN = f"""\
At the next boot and at each one after it, {paths.ROOT} moves the system onto a read-only
overlay of /, which also contains /nix. Every program then sees the store in /nix.
The image, the initramfs and the boot loader stay as they are.
To undo this: sudo nix-aurora mount disable, and reboot. To skip it for one boot: add
{paths.ROOT_OFF} to the kernel arguments. If two boots in a row fail with it, later ones do not
try it.
"""
_NOW = """\
The running system also moves now. Services with a mount namespace of their own keep the old root
directory until they are restarted.
"""


class Step(StrEnum):
    """What `mount enable` has to do."""

    NOTHING = "nothing"
    ALLOW = "allow"  # only the settings forbid a /nix
    ENABLE = "enable"


def enable(*, yes: bool, now: bool, again: bool, dry_run: bool) -> int:
    """Have every boot make a /nix, and with ``now`` the running system; return the exit code.

    Where a kind of root has failed, the next one is tried; with ``again`` all of them are.
    """
    file = settings.gather_settings_file()
    nix_root = gather_nix_root(file)
    step, message = decide_enable(nix_root, file, now=now, again=again)
    for line in message.split("\n"):
        say(line)
    if step is Step.NOTHING or dry_run:
        return 0
    _require_root("enable")
    if step is Step.ENABLE and not yes:
        require_terminal("enable mount", "mount enable")
        if not confirm("enable it"):
            say("mount: nothing was changed")
            return 1
    _change("enable", settings.ask_no_more)
    if step is Step.ENABLE:
        _change("enable", lambda: _forget_failures(nix_root, again=again))
    if not now:
        say("mount: enabled; reboot to apply it: systemctl reboot")
        return 0
    _move(root=step is Step.ENABLE)
    return 0


def decide_enable(
    nix_root: NixRoot, file: SettingsFile, *, now: bool, again: bool
) -> tuple[Step, str]:
    """Return what to do, and what to say first; raise CommandError where it cannot be done."""
    asked = settings.layout_without_namespace(file)
    forbidden = any(layout == "namespace" for _, layout in file.assigned)
    if asked not in {"auto", "mount"}:
        raise CommandError(
            f"cannot enable mount: {paths.SETTINGS}: expected STORE_LAYOUT=auto, got {asked}",
            settings.comment_out([line for line, _ in file.assigned]),
            code=USAGE,
        )
    if reason := needless(nix_root):
        if forbidden:
            line = f"the line STORE_LAYOUT=namespace in {paths.SETTINGS} keeps the store out of it"
            return Step.ALLOW, f"mount: {reason}; {line} and will be removed"
        return Step.NOTHING, f"mount: {reason}: there is nothing to enable{_how_to_mount(nix_root)}"
    needed = nix_root.stopped or again or unsuitable(nix_root) or (now and not nix_root.done)
    if nix_root.enabled and not needed:
        apply = "" if nix_root.done else "; reboot to apply it: systemctl reboot"
        return Step.NOTHING, f"mount: already enabled; nothing was changed{apply}"
    _refuse_enable(nix_root, now=now, again=again)
    return Step.ENABLE, (_PLAN + (_NOW if now else "")).rstrip("\n")


def _refuse_enable(nix_root: NixRoot, *, now: bool, again: bool) -> None:
    if reason := unsuitable(nix_root):
        target = "/etc" if "/etc" in reason else "/"
        raise CommandError(f"cannot enable mount: {reason}", f"findmnt --target {target}")
    if nix_root.exhausted and not again:
        raise CommandError(
            "cannot enable mount: boots with each kind of root directory failed with this kernel",
            "sudo nix-aurora mount enable --again",
        )
    if now and nix_root.off:
        raise CommandError(
            f"cannot enable mount: this boot has the kernel argument {paths.ROOT_OFF}",
            "sudo nix-aurora mount enable, and reboot without it",
            code=USAGE,
        )


def _how_to_mount(nix_root: NixRoot) -> str:
    if nix_root.mounted or nix_root.own:
        return ""
    return f"; to mount it now: sudo systemctl restart {paths.LAYOUT} {paths.MOUNT}"


def _forget_failures(nix_root: NixRoot, *, again: bool) -> None:
    """Let boots move again; the kind that has failed is not tried with its kernel, or all are."""
    if again:
        Path(paths.AVOIDED).unlink(missing_ok=True)
    elif nix_root.stopped and nix_root.failed:
        last = nix_root.failed[-1]
        replace.edit(paths.AVOIDED, lambda text: text + f"{last.kind} {last.kernel}\n".encode())
    Path(paths.PENDING).unlink(missing_ok=True)
    Path(paths.UNMOVED).unlink(missing_ok=True)


def disable() -> int:
    """Have no boot make a /nix any more; return the exit code."""
    nix_root = gather_nix_root(settings.gather_settings_file())
    if reason := needless(nix_root):
        say(f"mount: {reason}: nothing was changed")
        return 0
    _require_root("disable")
    _change("disable", settings.ask_for_namespace)
    _change("disable", lambda: Path(paths.PENDING).unlink(missing_ok=True))
    kept = "; / keeps its /nix until the next boot: systemctl reboot" if nix_root.done else ""
    say(f"mount: disabled{kept}")
    return 0


def describe(nix_root: NixRoot) -> dict[str, object]:
    """Return the state as JSON has it; ``laggards`` is null for anybody but root."""
    laggards = gather_laggards() if nix_root.done and os.geteuid() == 0 else None
    return {
        "enabled": nix_root.enabled,
        "root": nix_root.done,
        "mounted": nix_root.mounted,
        "unmoved": nix_root.unmoved,
        "stopped": nix_root.stopped,
        "failed_boots": [
            {"kind": printable(boot.kind), "kernel": printable(boot.kernel)}
            for boot in nix_root.failed
        ],
        "switched_off": nix_root.off,
        "laggards": laggards,
    }


def render(nix_root: NixRoot, file: SettingsFile) -> str:
    """Return the state in lines."""
    laggards = gather_laggards() if nix_root.done and os.geteuid() == 0 else []
    return "".join(f"{line}\n" for line in render_lines(nix_root, file, laggards))


def render_lines(nix_root: NixRoot, file: SettingsFile, laggards: Sequence[str]) -> list[str]:
    """Return the lines of the state, of which ``laggards`` still use the old root."""
    lines = [f"every boot  {'enabled' if nix_root.enabled else 'not enabled'}"]
    lines.append(f"this boot   {'; '.join(explain(nix_root))}")
    if laggards:
        lines.append(
            f"old root    used by these units until they are restarted: {listed(laggards)}"
        )
    lines += [f"settings    {settings.describe_fault(fault)}" for fault in file.faults]
    return lines


def _move(*, root: bool) -> None:
    """Mount the store in the running system; ``root`` gives it the root directory for that."""
    if root and not _look().done:
        _change("enable", lambda: Path(paths.MOVE_NOW).touch())
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
    say(f"mount: enabled; {paths.BASE} is mounted on /nix")
    if root and (laggards := gather_laggards()):
        say(f"mount: these units do not see /nix until they are restarted: {listed(laggards)}")


def _look() -> NixRoot:
    return gather_nix_root(settings.gather_settings_file())


def _require_root(what: str) -> None:
    if os.geteuid() != 0:
        raise CommandError(
            f"cannot run mount {what}: this needs root; nothing was changed",
            f"sudo nix-aurora mount {what}",
            code=USAGE,
        )


def _change(what: str, act: Callable[[], object]) -> None:
    """Change a file below /etc or /run."""
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
