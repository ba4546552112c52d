"""Nix's own programs, run as root on this store: only what has been proven before."""

import os
import subprocess
from collections.abc import Mapping

from nix_aurora_host import paths
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import relocated
from nix_aurora_host.importer.closure import Closure, registration

# In a mount namespace of its own, the work directory's paths have the names that they need.
_SHOW = 'mount --bind "$0" /nix/store && exec "$@"'
_UNSHARE = ("unshare", "--mount", "--propagation", "slave", "bash", "-c", _SHOW)


def set_environment() -> None:
    """Have every program run on this store, whatever the caller's environment says."""
    for name in [name for name in os.environ if name.startswith("NIX_")]:
        del os.environ[name]
    os.environ |= {
        "NIX_REMOTE": "local",
        "HOME": f"{paths.WORK}/home",
        "PATH": "/usr/bin:/usr/sbin",
    }


def staged_command(closure: Closure) -> list[str]:
    """Return the command that runs the staged nix-store; all of the closure is staged."""
    store = f"{paths.WORK}/store"
    if paths.RELOCATED:
        return _relocated(closure, store)
    return [*_UNSHARE, store, f"{closure.path(closure.nix)}/bin/nix-store"]


def placed_command(closure: Closure) -> list[str]:
    """Return the command that runs the nix-store of the closure in the store."""
    if paths.RELOCATED:
        return _relocated(closure, paths.PREFIX)
    return [f"{closure.path(closure.nix)}/bin/nix-store"]


def _relocated(closure: Closure, store: str) -> list[str]:
    relocated.describe(closure, store, paths.WORK)
    program = "/usr/libexec/nix-aurora/relocated"
    return [program, "--closure", f"{paths.WORK}/closure", "nix-store"]


def load(
    command: list[str],
    closure: Closure,
    names: set[str],
    environment: Mapping[str, str] | None = None,
) -> None:
    """Have Nix register the named paths, in a database that it makes where there is none."""
    done = subprocess.run(
        [*command, "--load-db"],
        input=registration(closure, names, paths.PREFIX).encode(),
        env={**os.environ, **(environment or {})},
        check=False,
    )
    if done.returncode:
        raise CommandError(
            f"cannot register store paths: {paths.STATE}/db: see above", "sudo nix-aurora doctor"
        )
