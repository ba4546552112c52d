"""Clone store paths of the package into the work directory, and verify each NAR hash."""

import os

from nix_aurora_host import paths
from nix_aurora_host.database import nar
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import clone, workers
from nix_aurora_host.importer.closure import REINSTALL, Closure
from nix_aurora_host.importer.source import find_sources

_SPARE = 32 << 20  # bytes that the file system keeps free
_DOCTOR = "sudo nix-aurora doctor"  # its message says how much space is missing, and what to do


def staged(name: str) -> str:
    """Return the path of a staged store path before it is placed."""
    return f"{paths.WORK}/store/{name}"


def stage(closure: Closure, names: set[str]) -> None:
    """Clone and verify the named paths, except those that are already staged."""
    left = sorted(
        (name for name in names if not os.path.lexists(staged(name))),
        # largest first, so that a large one does not end alone
        key=lambda name: (-closure.paths[name].size, name),
    )
    if not left:
        return
    sources = [(directory, _ways(directory)) for directory in find_sources()]
    need = 0 if sources[0][1] is clone.WAYS else closure.size(set(left))
    require_space(need)
    workers.each(lambda name: _stage(closure, name, sources), left)


def _ways(directory: str) -> tuple[clone.Way, ...]:
    """Return the methods for files from there: a method that cannot work is not tried per file."""
    probe = f"{os.path.dirname(directory)}/closure.json"
    return clone.WAYS if clone.can_share(probe, f"{paths.WORK}/probe") else clone.WAYS[1:]


def require_space(size: int) -> None:
    """Raise CommandError unless the file system has room for ``size`` bytes, and some to spare."""
    space = os.statvfs(paths.HOME)
    need, free = (size + _SPARE) >> 20, space.f_bavail * space.f_frsize >> 20
    if free < need:
        raise CommandError(
            f"cannot copy the closure: {paths.HOME}: expected {need} MiB of free space, got {free}",
            _DOCTOR,
        )


def _stage(closure: Closure, name: str, sources: list[tuple[str, tuple[clone.Way, ...]]]) -> None:
    """Take one path from the first source with the right content."""
    target = staged(name)
    for directory, ways in sources:
        source = f"{directory}/{name}"
        last = directory == sources[-1][0]
        try:
            clone.clone(source, target, ways)
            nar.verify(*os.path.split(target), closure.paths[name].digest, closure.paths[name].size)
        except (clone.UnfitError, nar.ContentError) as error:
            if last:
                raise CommandError(
                    f"cannot import {source}: the package is damaged: {error}", REINSTALL
                ) from error
        except OSError as error:
            if last:
                raise _explain(source, error) from error
        else:
            return
        remove(target)


def _explain(source: str, error: OSError) -> CommandError:
    """Return the error; a fault in the package's own file needs a reinstallation."""
    if error.filename is not None and str(error.filename).startswith(source):
        return CommandError(f"cannot read {error.filename}: {error.strerror}", REINSTALL)
    return CommandError(
        f"cannot copy {source} to {paths.WORK}: {error.strerror}",
        _DOCTOR,
    )


def remove(path: str) -> None:
    """Remove a path that we made, if it exists; its directories are read-only."""
    if not os.path.isdir(path) or os.path.islink(path):
        if os.path.lexists(path):
            os.unlink(path)
        return
    os.chmod(path, 0o700)
    with os.scandir(path) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            remove(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(path)
