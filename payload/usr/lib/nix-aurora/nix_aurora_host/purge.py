"""Everything that Nix has on this host, removed: the one command that changes anything."""

import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from nix_aurora_host import paths, removal
from nix_aurora_host.errors import USAGE, CommandError
from nix_aurora_host.status import human
from nix_aurora_host.system import link, names, read

_MOUNTS = (paths.MOUNT, paths.RELOCATED_MOUNT)
_STOPPED = (paths.DAEMON, paths.SETUP, *_MOUNTS, paths.LAYOUT)
_STARTED = (paths.LAYOUT, *_MOUNTS, paths.SETUP, paths.SOCKET)
_PATIENCE = 5.0  # seconds
_BASE = Path(paths.BASE)
_NIX = Path("/nix")
_RELOCATED = Path("/run/nix/store")
_INSIDE = (f"{paths.BASE}/", f"{_NIX}/", f"{_RELOCATED}/")
_LEFTOVERS = (
    *(".nix-profile", ".nix-defexpr", ".nix-channels", ".cache/nix", ".config/nix"),
    *(".local/state/nix", ".local/share/nix"),
    *(".cache/nix-relocated", ".local/state/nix-relocated"),  # relocated's own
)


def purge(*, yes: bool, dry_run: bool) -> int:
    """Remove store, profiles and database, and give the exit code."""
    if not dry_run and os.geteuid() != 0:
        raise CommandError(
            "purge: only root may remove the store", "sudo nix-aurora purge", code=USAGE
        )
    if not dry_run and not yes and not sys.stdin.isatty():
        raise CommandError(
            "purge: there is no terminal to ask on", "sudo nix-aurora purge --yes", code=USAGE
        )
    if _BASE.is_dir():
        size = human(removal.measure(paths.BASE))
        _say(f"{_BASE}: {size}: every store path, every profile, the database")
    else:
        _say(f"{_BASE}: not there")
    if dry_run:
        _tell_leftovers()
        return 0
    _refuse_mounts_inside()
    _refuse_while_used()
    if not yes and not _confirm():
        _say("purge: nothing was removed")
        return 1
    _stop()
    _unmount()
    try:
        _remove()
    except OSError as error:
        raise CommandError(
            f"purge: {error.filename or paths.BASE}: {error.strerror}; what came before is gone",
            "sudo nix-aurora purge",
        ) from error
    _tell_leftovers()
    _tell_what_next()
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _confirm() -> bool:
    _say("This cannot be undone, and every user of this host loses what Nix gave them.")
    sys.stderr.write("Type yes to remove it: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


def find_mounts(mountinfo: str) -> list[str]:
    """Give what is mounted inside the store, in the words of /proc/self/mountinfo."""
    points = [line.split()[4] for line in mountinfo.splitlines()]
    return sorted({point for point in points if point.startswith(_INSIDE)})


def _refuse_mounts_inside() -> None:
    if inside := find_mounts(read("/proc/self/mountinfo") or ""):
        raise CommandError(
            f"purge: {inside[0]}: something is mounted inside the store, and nothing was removed",
            f"sudo umount {' '.join(reversed(inside))}",
        )


def _refuse_while_used() -> None:
    """A program from the store would lose its files while it runs, and keeps /nix mounted."""
    users = list(_find_users())
    if not users:
        return
    for pid, program in users[:10]:
        _say(f"  process {pid}: {program}")
    pids = " ".join(str(pid) for pid, _ in users)
    count = f"{len(users)} processes run" if len(users) > 1 else "1 process runs"
    raise CommandError(
        f"purge: {count} from the store, and nothing was removed", f"sudo kill {pids}"
    )


def _find_users() -> Iterable[tuple[int, str]]:
    """Find processes that run from the store or stay in it; the daemon and its own are stopped."""
    group = _control_group()
    for name in names("/proc") or ():
        if not name.isdigit() or (group and group in (read(f"/proc/{name}/cgroup") or "")):
            continue
        for kind in ("exe", "cwd"):
            target = link(f"/proc/{name}/{kind}") or ""
            if f"{target}/".startswith(_INSIDE):
                yield int(name), target
                break


def _control_group() -> str:
    command = ["systemctl", "show", "--property=ControlGroup", "--value", paths.DAEMON]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _stop() -> None:
    _systemctl("stop", paths.SOCKET)
    # Builds outlive a stopped daemon by its unit's design, but not their store.
    _systemctl("kill", "--kill-whom=all", "--signal=SIGKILL", paths.DAEMON)
    _systemctl("stop", *_STOPPED)
    _systemctl("reset-failed", *_STOPPED)


def _systemctl(*words: str) -> None:
    # Where no system is running, or the unit is not, there is nothing to stop.
    subprocess.run(["systemctl", "--quiet", *words], capture_output=True, check=False)


def _unmount() -> None:
    deadline = time.monotonic() + _PATIENCE
    while mounted := [str(path) for path in (_NIX, _RELOCATED) if path.is_mount()]:
        done = subprocess.run(["umount", *mounted], capture_output=True, text=True, check=False)
        if done.returncode and time.monotonic() < deadline:
            time.sleep(0.1)  # what was killed keeps it until it has ended
        elif done.returncode:
            raise CommandError(
                f"purge: cannot be unmounted: {done.stderr.strip()}; nothing was removed",
                f"sudo systemctl start {' '.join(_MOUNTS)} {paths.SOCKET}",
            )


def _remove() -> None:
    if _BASE.is_symlink():
        raise CommandError(
            f"purge: {paths.BASE} is a link, and links are not followed: nothing was removed",
            f"look at {_BASE.readlink()}",
        )
    if _BASE.is_dir():
        removal.empty(paths.BASE)
        if _BASE.is_mount():
            _say(f"{paths.BASE}: emptied; it is a mount point, and stays")
        else:
            _BASE.rmdir()
            _say(f"{paths.BASE}: removed")
    if _NIX.is_dir() and not _NIX.is_symlink() and not names("/nix"):
        try:
            _NIX.rmdir()
            _say("/nix: removed")
        except OSError:  # a read-only root, or one that the image brings it with
            _say("/nix: empty; the image brings it, and it stays")


def _tell_leftovers() -> None:
    found = [
        f"{entry.pw_dir}/{name}"
        for entry in pwd.getpwall()
        for name in _LEFTOVERS
        if os.path.lexists(f"{entry.pw_dir}/{name}")
    ]
    if found:
        _say("Users' own, which stay:")
        for path in sorted(set(found)):
            _say(f"  {path}")


def _tell_what_next() -> None:
    if not Path(paths.PACKAGE, "closure.json").exists():
        return
    tool = "rpm-ostree uninstall" if Path("/run/ostree-booted").exists() else "dnf remove"
    _say("The package is still there, with its group nixbld and users, and so are your settings")
    _say("in /etc. The next boot imports Nix again; to have it at once:")
    _say(f"  sudo systemctl start {' '.join(_STARTED)}")
    _say(f"To be rid of the package, too: sudo {tool} nix-aurora; then of its users:")
    _say("  for n in $(seq 32); do sudo userdel nixbld$n; done; sudo groupdel nixbld")
