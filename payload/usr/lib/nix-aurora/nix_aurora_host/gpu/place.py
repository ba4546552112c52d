"""Create and remove the root, the line in tmpfiles.d and the link.

The target of the line and the link always has a root: that of new drivers is created first, and
that of former ones is removed last. So the drivers work even after a power cut, and doctor reports
an unfinished change.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from nix_aurora_host import layouts, paths, replace
from nix_aurora_host.disk import sync
from nix_aurora_host.gpu import tmpfiles
from nix_aurora_host.system import link, names, read


def enable(installable: str, target: str, keep: Callable[[str], object]) -> None:
    """Let each boot create a link to ``target``, and create it now. Raise OSError.

    ``keep`` is called with the target once it has a root, before anything else is changed.
    """
    with _alone():
        root = _add_root(target)
        try:
            keep(target)
        except BaseException:
            if _line_target() != target:
                _remove_roots(root)
            raise
        os.makedirs(os.path.dirname(paths.GPU_TMPFILES), mode=0o755, exist_ok=True)  # noqa: PTH103, PTH120
        replace.edit(paths.GPU_TMPFILES, lambda _: tmpfiles.render(installable, target).encode())
        _link(target)
        for name in names(paths.GPU_ROOTS) or ():
            if name != os.path.basename(target):  # noqa: PTH119 - half a path
                _remove(f"{paths.GPU_ROOTS}/{name}")


def find_made() -> list[str]:
    """Return the files that disable() removes, in its order."""
    made = [root for directory in _root_directories() for root in _roots(directory)]
    targets = {_line_target(), *(link(root) for root in made)} - {None}
    found = [paths.GPU_LINK] if link(paths.GPU_LINK) in targets else []
    if os.path.lexists(paths.GPU_TMPFILES):
        found.append(paths.GPU_TMPFILES)
    return [*found, *made, *(place for place in _root_directories() if os.path.isdir(place))]  # noqa: PTH112


def disable() -> list[str]:
    """Remove and return all files that enable() created. Raise OSError."""
    with _alone():
        made = find_made()
        for path in made:
            _remove(path)
        return made


@contextmanager
def _alone() -> Iterator[None]:
    """Prevent other runs from changing the same files. Only root can open the directory."""
    try:
        descriptor = os.open(paths.OWN, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # after a purge
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _add_root(target: str) -> str:
    os.makedirs(paths.GPU_ROOTS, mode=0o755, exist_ok=True)  # noqa: PTH103 - a string
    root = f"{paths.GPU_ROOTS}/{os.path.basename(target)}"  # noqa: PTH119 - half a path
    with suppress(FileExistsError):
        os.symlink(target, root)  # noqa: PTH211 - a string
    sync(paths.GPU_ROOTS)
    sync(os.path.dirname(paths.GPU_ROOTS))  # noqa: PTH120 - half a path
    return root


def _link(target: str) -> None:
    """Replace the link in one step: programs find either the former drivers or the new ones."""
    new = f"{paths.GPU_LINK}.nix-aurora"
    with suppress(FileNotFoundError):
        os.unlink(new)  # noqa: PTH108 - a string
    os.symlink(target, new)  # noqa: PTH211 - a string
    os.rename(new, paths.GPU_LINK)  # noqa: PTH104 - strings


def _line_target() -> str | None:
    return tmpfiles.parse(read(paths.GPU_TMPFILES) or "")[1]


def _root_directories() -> list[str]:
    """Return the directory of the roots in each layout, as a host may have changed its layout."""
    inside = paths.GPU_ROOTS.removeprefix(paths.HOME)
    homes = [paths.HOME, *(layout["home"] for layout in layouts.read_all())]
    return list(dict.fromkeys(f"{home}{inside}" for home in homes))


def _roots(directory: str) -> list[str]:
    return [f"{directory}/{name}" for name in names(directory) or ()]


def _remove_roots(root: str) -> None:
    _remove(root)
    if not names(paths.GPU_ROOTS):
        _remove(paths.GPU_ROOTS)


def _remove(path: str) -> None:
    """Remove a file, a link or an empty directory, and write that to the disk."""
    if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114 - a string
        os.rmdir(path)  # noqa: PTH106 - a string
    else:
        os.unlink(path)  # noqa: PTH108 - a string
    sync(os.path.dirname(path))  # noqa: PTH120 - half a path
