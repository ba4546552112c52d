"""Run Nix's own programs as root on this store, and only after their content was proven."""

import os
from collections.abc import Mapping

from nix_aurora_host import paths
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import syscalls
from nix_aurora_host.importer.closure import Closure, registration

_RELOCATED = "/usr/libexec/nix-aurora/relocated"
_NO_SYNC = ("--option", "fsync-metadata", "false")


def set_environment() -> None:
    """Make every program use this store, whatever the caller's environment says."""
    for name in [name for name in os.environ if name.startswith("NIX_")]:
        del os.environ[name]
    os.environ |= {
        "NIX_REMOTE": "local",
        "HOME": f"{paths.WORK}/home",
        "PATH": "/usr/bin:/usr/sbin",
    }


def load_staged(closure: Closure, state: str) -> None:
    """Let the staged Nix create a database in ``state`` that knows the whole staged closure.

    It needs its own thread, which gets a mount namespace in which the staged paths have their final
    names. The database is not synced: the caller must do that before renaming it.
    """
    store = f"{paths.WORK}/store"
    if not paths.RELOCATED:
        syscalls.show(store, paths.PREFIX)
    command = [*_command(closure, store), *_NO_SYNC]
    _load(command, closure, set(closure.paths), {"NIX_STATE_DIR": state})


def load(closure: Closure, names: set[str]) -> None:
    """Let the Nix in the store register the named paths."""
    _load(_command(closure, paths.PREFIX), closure, names, {})


def _command(closure: Closure, store: str) -> list[str]:
    """Return the command that runs nix-store; in the relocated layout from a store's directory."""
    if not paths.RELOCATED:
        return [f"{closure.path(closure.nix)}/bin/nix-store"]
    from nix_aurora_host.importer import relocated  # noqa: PLC0415 - one layout's

    relocated.describe(closure, store, paths.WORK)
    return [_RELOCATED, "--closure", f"{paths.WORK}/closure", "nix-store"]


def _load(
    command: list[str], closure: Closure, names: set[str], environment: Mapping[str, str]
) -> None:
    import subprocess  # noqa: PLC0415 - it takes a while to load, beside a sync

    done = subprocess.run(
        [*command, "--load-db"],
        input=registration(closure, names, paths.PREFIX).encode(),
        env={**os.environ, **environment},
        check=False,
    )
    if done.returncode:
        raise CommandError(
            f"cannot register store paths: {paths.STATE}/db: nix-store: exit code "
            f"{done.returncode}",
            "sudo nix-aurora doctor",
        )
