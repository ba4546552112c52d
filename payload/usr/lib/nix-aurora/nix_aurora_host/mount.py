"""nix-aurora mount: a /nix for hosts whose root directory can have none."""

import os
import subprocess
import sys
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.errors import USAGE, CommandError
from nix_aurora_host.facts import Pivot
from nix_aurora_host.gather.pivot import gather_pivot
from nix_aurora_host.system import names, read

_PLAN = f"""\
From the next boot on, {paths.ROOT} moves the system, early in the boot, onto a read-only
overlay of / that has one more directory, /nix, and the store appears there for every program.
Nothing changes in the image, the initramfs or the boot loader.
To undo it: sudo nix-aurora mount disable, and reboot. For one boot: add {paths.ROOT_OFF} to the
kernel's arguments. A boot that does not come up with it is the last one that tries.
"""
_NOW = """\
And the running system moves at once. Services that have a view of the files of their own keep
the old root directory until they are restarted.
"""


def enable(*, yes: bool, now: bool, dry_run: bool) -> int:
    """Have every boot make a /nix, and with ``now`` the running system; give the exit code."""
    pivot = gather_pivot()
    if reason := _needless(pivot):
        _say(reason)
        return 0
    if pivot.asked not in {"auto", "mount"}:
        raise CommandError(
            f"mount: {paths.SETTINGS} asks for STORE_LAYOUT={pivot.asked}",
            f"sudo sed --in-place '/^STORE_LAYOUT=/s/^/#/' {paths.SETTINGS}",
            code=USAGE,
        )
    if pivot.enabled and pivot.done:
        _say("mount: enabled already")
        return 0
    if now and pivot.off:
        raise CommandError(
            f"mount: this boot has the kernel's argument {paths.ROOT_OFF}",
            "sudo nix-aurora mount enable, and reboot without it",
            code=USAGE,
        )
    _say(_PLAN + (_NOW if now else ""), end="")
    if dry_run:
        return 0
    _require_root("enable")
    if not yes and not _confirm():
        _say("mount: nothing was changed")
        return 1
    Path(paths.PENDING).unlink(missing_ok=True)
    _systemctl("enable", paths.ROOT)
    if not now:
        _say("mount: enabled; to have it: systemctl reboot")
        return 0
    _move()
    return 0


def disable() -> int:
    """Have no boot make a /nix any more; give the exit code."""
    pivot = gather_pivot()
    _require_root("disable")
    _systemctl("disable", paths.ROOT)
    Path(paths.PENDING).unlink(missing_ok=True)
    if pivot.done:
        _say("mount: disabled; / keeps its /nix until the next boot: systemctl reboot")
    else:
        _say("mount: disabled")
    return 0


def describe(pivot: Pivot) -> dict[str, object]:
    """Give the state as JSON has it; ``laggards`` is null for anybody but root."""
    laggards = find_laggards() if pivot.done and os.geteuid() == 0 else None
    return {
        "enabled": pivot.enabled,
        "root": pivot.done,
        "mounted": _is_mounted(),
        "failed": pivot.failed,
        "stopped": pivot.stopped,
        "switched_off": pivot.off,
        "laggards": laggards,
    }


def render(pivot: Pivot) -> str:
    """Give the state in lines."""
    lines = [f"every boot  {'enabled' if pivot.enabled else 'not enabled'}"]
    lines.append(f"this boot   {explain(pivot)}")
    if pivot.done and os.geteuid() == 0 and (laggards := find_laggards()):
        lines.append(f"old root    {', '.join(laggards)}: until they are restarted")
    return "\n".join(lines) + "\n"


def explain(pivot: Pivot) -> str:
    """Give what became of it in this boot."""
    if pivot.done:
        kind = {"overlay": "an overlay of the image's", "binds": "a tmpfs of binds"}
        return f"/ is {kind.get(pivot.done, pivot.done)}, with /nix"
    if reason := _needless(pivot):
        return reason.removeprefix("mount: ")
    if pivot.stopped:
        return "stopped: an earlier boot did not come up with it: sudo nix-aurora mount enable"
    if pivot.off:
        return f"switched off by the kernel's argument {paths.ROOT_OFF}"
    if pivot.failed:
        return f"failed: journalctl -b -u {paths.ROOT} tells why"
    return "the root directory has no /nix: programs see the store by nix-aurora shell alone"


def find_laggards() -> list[str]:
    """Give the units whose processes still have the root directory without /nix."""
    units = set()
    for name in names("/proc") or ():
        root = Path("/proc", name, "root")
        if not name.isdigit():
            continue
        try:
            if (root / "nix").exists() or not (root / "run/nix-aurora").exists():
                continue  # moved, or in a root that is no part of the host's
        except OSError:  # it has ended
            continue
        group = (read(f"/proc/{name}/cgroup") or "").strip().rpartition("/")[2]
        if group.endswith((".service", ".scope")):
            units.add(group)
    return sorted(units)


def _needless(pivot: Pivot) -> str | None:
    """Give why there is nothing to enable, if so."""
    if pivot.done:
        return None
    if Path("/nix").is_dir() and not Path("/nix").is_symlink():
        return "mount: the root directory has a /nix of its own: there is nothing to enable"
    if not os.statvfs("/").f_flag & os.ST_RDONLY:
        restart = f"sudo systemctl restart {paths.LAYOUT} {paths.MOUNT}"
        return f"mount: / is writable, and every boot makes /nix; to have it now: {restart}"
    return None


def _is_mounted() -> bool:
    try:
        return Path("/nix").samefile(paths.BASE)
    except OSError:
        return False


def _move() -> None:
    """Move the running system, and have the store mounted."""
    if not gather_pivot().done:
        _systemctl("restart", paths.ROOT)
        if not gather_pivot().done:
            raise CommandError(
                "mount: the running system could not be moved; what was there still works",
                f"journalctl -b -u {paths.ROOT}",
            )
        _systemctl("start", paths.ROOT_GOOD)
    _systemctl("restart", paths.LAYOUT, paths.MOUNT)
    _systemctl("try-restart", paths.DAEMON)  # builds that run go on
    if not _is_mounted():
        raise CommandError(
            "mount: / has a /nix now, but the store is not on it", f"journalctl -b -u {paths.MOUNT}"
        )
    _say(f"mount: enabled; {paths.BASE} is on /nix")
    if laggards := find_laggards():
        _say(f"mount: until they are restarted without it: {', '.join(laggards)}")


def _require_root(what: str) -> None:
    if os.geteuid() != 0:
        raise CommandError(
            f"mount: only root may {what} it", f"sudo nix-aurora mount {what}", code=USAGE
        )


def _confirm() -> bool:
    if not sys.stdin.isatty():
        raise CommandError(
            "mount: there is no terminal to ask on",
            "sudo nix-aurora mount enable --yes",
            code=USAGE,
        )
    sys.stderr.write("Type yes to enable it: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)


def _systemctl(*words: str) -> None:
    command = ["systemctl", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(
            f"mount: systemctl {' '.join(words)}: exit code {done.returncode}: "
            f"{done.stderr.strip()}",
            f"journalctl -b -u {words[-1]}",
        )
