"""The program /usr/libexec/nix-aurora/import: its preconditions and exit codes."""

import os
import sys
from collections.abc import Callable

from nix_aurora_host import base_mount, paths
from nix_aurora_host.errors import FAILED, CommandError
from nix_aurora_host.importer import nix, state, users
from nix_aurora_host.importer.closure import read_closure
from nix_aurora_host.importer.run import run

_HERE = "/usr/libexec/nix-aurora/import"
_WITH_NIX = "/usr/libexec/nix-aurora/with-nix"
_DOCTOR = "sudo nix-aurora doctor"


def main(first: Callable[[], object] = lambda: None) -> int:
    """Import the packaged closure if it is not imported; return the exit code.

    ``first`` is called before the store is checked.
    """
    try:
        os.umask(0o022)
        base_mount.require_mounted()
        users.prepare()
        first()
        closure = read_closure()
        if state.is_imported(closure) and os.path.lexists(state.stamp(closure)):
            return 0
        _find_store()
        nix.set_environment()
        require_exec()
        run(closure)
    except CommandError as error:
        return _fail(error.message, error.hint or _DOCTOR)
    except OSError as error:
        subject = f"{error.filename}: " if error.filename else ""
        return _fail(f"{subject}{error.strerror or error}", _DOCTOR)
    return 0


def _fail(message: str, hint: str) -> int:
    sys.stdout.flush()
    print(f"nix-aurora: import failed: {message}\nhint: {hint}", file=sys.stderr, flush=True)
    return FAILED


def _find_store() -> None:
    """Continue where /nix is the store: here, or in a private root directory."""
    if not os.path.isdir(paths.STORE):
        raise CommandError(
            f"cannot find the store: {paths.STORE}: no such directory",
            "sudo systemd-tmpfiles --create nix-aurora.conf, then: "
            "sudo systemctl restart nix-setup.service",
        )
    try:
        if os.path.samefile(paths.PREFIX, paths.STORE):
            return
    except FileNotFoundError:
        pass  # there is none
    if paths.RELOCATED:
        raise CommandError(
            f"cannot use {paths.PREFIX}: the store is not mounted there",
            f"sudo systemctl restart {paths.STORE_MOUNT} {paths.SETUP}",
        )
    sys.stdout.flush()
    os.execv(_WITH_NIX, [_WITH_NIX, _HERE])  # noqa: S606 - no shell is wanted


def require_exec() -> None:
    """Raise CommandError if no program could start, since the import would be useless."""
    for path in (paths.HOME, paths.PREFIX):
        if not os.statvfs(path).f_flag & os.ST_NOEXEC:
            continue
        from nix_aurora_host.occupants import find_mount_point  # noqa: PLC0415 - seldom needed
        from nix_aurora_host.system import read  # noqa: PLC0415 - as above

        table = read("/proc/self/mountinfo") or ""
        where = find_mount_point(table, os.path.realpath(path))
        raise CommandError(
            f"cannot use {where}: it is mounted with noexec: no program of the store can start",
            f"sudo mount -o remount,bind,exec {where} && "
            f"sudo systemctl restart {paths.STORE_MOUNT} {paths.SETUP}",
        )
