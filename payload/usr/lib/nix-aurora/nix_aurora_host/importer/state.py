"""Record whether the packaged closure is imported: the stamps, and checks for later losses."""

import os

from nix_aurora_host import paths
from nix_aurora_host.database import schema
from nix_aurora_host.importer.closure import Closure


def stamp(closure: Closure) -> str:
    """Return the file that exists once the closure is imported."""
    return f"{paths.WORK}/imported-{closure.id}"


def is_imported(closure: Closure) -> bool:
    """Return whether nothing needs to be imported; this takes only a few checks.

    nix-setup.service has the same conditions: it does not start if everything is there.
    """
    return (
        _read(paths.STAMP) == closure.id
        and not os.path.lexists(paths.IMPORT_NEEDED)
        and os.path.lexists(f"{paths.STORE}/{closure.nix}/bin/nix")
        and os.path.lexists(f"{paths.STORE}/{closure.cacert}")
        and os.path.exists(paths.DATABASE)
        and not schema.find_faults()
        and os.path.islink(f"{paths.ROOTS}/nix")
        and os.path.islink(_last())
    )


def _last() -> str:
    """Return the link through which the layout's programs are found."""
    return f"{paths.DESCRIBED}/default" if paths.RELOCATED else paths.PROFILE


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def forget() -> None:
    """Forget that a closure is complete, so that it is imported again after a rollback."""
    if os.path.lexists(paths.STAMP):
        os.unlink(paths.STAMP)


def remember(closure: Closure) -> None:
    """Write the stamps, in a work directory without other files.

    The first is the one that packages from before 2027 read.
    """
    if os.path.lexists(paths.IMPORT_NEEDED):
        os.unlink(paths.IMPORT_NEEDED)
    os.rename(f"{paths.STAMP}.new", paths.STAMP)
    adopt(closure)


def adopt(closure: Closure) -> None:
    """Write the stamp that the unit checks if an earlier package has written only the other."""
    os.makedirs(paths.WORK, mode=0o700, exist_ok=True)
    os.close(os.open(stamp(closure), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def prepare(closure: Closure) -> None:
    """Write the first stamp under another name, so that it is on the disk before it counts."""
    with open(f"{paths.STAMP}.new", "w", encoding="ascii") as file:
        file.write(f"{closure.id}\n")
