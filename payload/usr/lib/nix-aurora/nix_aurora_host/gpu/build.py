"""Build an installable through the daemon, and find the output that contains drivers."""

import subprocess

from nix_aurora_host.errors import CommandError
from nix_aurora_host.gpu import drivers
from nix_aurora_host.gpu.tmpfiles import is_store_path
from nix_aurora_host.text import command, printable

_NIX = ("/usr/bin/nix", "--extra-experimental-features", "nix-command flakes", "build", "--no-link")
_REALISE = ("/usr/bin/nix-store", "--realise")
# nixpkgs before 25.05 has mesa's drivers in a separate output, which is not installed by default.
# They have been in "out" since https://github.com/NixOS/nixpkgs/pull/387292.
_OUTPUT = "^drivers"


def show(installable: str) -> None:
    """Let Nix print what it would download and build. Raise CommandError if it cannot."""
    _run(["--dry-run", "--", installable], installable)


def build(installable: str) -> str:
    """Build, and return the store path that contains drivers. Raise CommandError if none does."""
    outputs = _build(installable)
    found = drivers.choose(outputs)
    if found is None and "^" not in installable and not installable.startswith("/"):
        found = drivers.choose(_build(f"{installable}{_OUTPUT}", quiet=True))
    if found is None:
        raise CommandError(
            f"cannot enable the drivers: {printable(installable)}: expected one of "
            f"{', '.join(drivers.PLACES)}, got {', '.join(map(printable, outputs)) or 'nothing'}; "
            "nothing was changed",
            "sudo nix-aurora gpu enable nixpkgs#mesa",
        )
    return found


def keep(path: str) -> None:
    """Inform a running collector that a store path now has a root.

    The collector looked for roots before it began to delete. Raise CommandError if the path is
    gone.
    """
    done = subprocess.run([*_REALISE, path], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise CommandError(
            f"cannot enable the drivers: {printable(path)}: it was deleted meanwhile; nothing was "
            "changed",
            "sudo nix-aurora gpu enable",
        )


def _build(installable: str, *, quiet: bool = False) -> list[str]:
    """Return the store paths that were built; if ``quiet``, return none if the build fails."""
    output = _run(["--print-out-paths", "--", installable], installable, quiet=quiet)
    return [line for line in output.splitlines() if is_store_path(line)]


def _run(words: list[str], installable: str, *, quiet: bool = False) -> str:
    done = subprocess.run(
        [*_NIX, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode and not quiet:
        raise CommandError(
            f"cannot build {printable(installable)}: {command(['nix', 'build', installable])}: "
            f"exit code {done.returncode}; nothing was changed",
            "sudo nix-aurora doctor",
        )
    return done.stdout if not done.returncode else ""
