"""Decide what `nix-aurora mount enable` does, from the state of the root directory."""

from enum import StrEnum

from nix_aurora_host import paths, settings
from nix_aurora_host.errors import USAGE, CommandError
from nix_aurora_host.nix_root.facts import NixRoot
from nix_aurora_host.nix_root.words import needless, unsuitable
from nix_aurora_host.settings import SettingsFile

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
    ALLOW = "allow"  # only the settings prevent a /nix
    ENABLE = "enable"


def decide_enable(
    nix_root: NixRoot, file: SettingsFile, *, now: bool, again: bool
) -> tuple[Step, str]:
    """Return the step, and the message before it; raise CommandError if it cannot be done."""
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
            line = f"the line STORE_LAYOUT=namespace in {paths.SETTINGS}"
            return Step.ALLOW, f"mount: {reason}; {line} prevents its use and will be removed"
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
            f"cannot enable mount now: this boot has the kernel argument {paths.ROOT_OFF}; enable "
            "it without --now, then reboot without the argument",
            "sudo nix-aurora mount enable",
            code=USAGE,
        )


def _how_to_mount(nix_root: NixRoot) -> str:
    if nix_root.mounted or nix_root.own:
        return ""
    return f"; to mount it now: sudo systemctl restart {paths.LAYOUT} {paths.MOUNT}"
