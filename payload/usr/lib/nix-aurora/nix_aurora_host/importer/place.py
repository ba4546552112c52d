"""Rename staged store paths to their names in the store."""

import os
import stat

from nix_aurora_host import paths
from nix_aurora_host.database import nar
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import syscalls
from nix_aurora_host.importer.closure import Closure
from nix_aurora_host.importer.say import say
from nix_aurora_host.importer.stage import staged

_FILE_MODES = {0o444, 0o555}


def place(closure: Closure, names: set[str]) -> None:
    """Rename the named paths into the store.

    An existing path that equals the package's stays: running programs may use it. One that differs
    is moved aside, since nothing is deleted.
    """
    new = []
    for name in sorted(names):
        path = f"{paths.STORE}/{name}"
        if os.path.lexists(path):
            if is_same(closure, name):
                continue
            say(f"{path} differs from the package: replacing it")
            set_aside(path)
        new.append(name)
    for name in new:
        try:
            syscalls.rename_new(staged(name), f"{paths.STORE}/{name}")
        except FileExistsError as error:
            raise CommandError(
                f"cannot import {paths.STORE}/{name}: another process created it meanwhile",
                "sudo systemctl restart nix-setup.service",
            ) from error


def is_same(closure: Closure, name: str) -> bool:
    """Return whether a path in the store is the package's, owned by root, in Nix's form."""
    info = closure.paths[name]
    try:
        nar.verify(paths.STORE, name, info.digest, info.size)
    except nar.ContentError:
        return False
    return is_canonical(f"{paths.STORE}/{name}")


def is_canonical(path: str) -> bool:
    """Return whether owners and modes of a tree are those that Nix sets."""
    owner = os.stat(paths.STORE).st_uid
    pending = [path]
    while pending:
        here = pending.pop()
        status = os.lstat(here)
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != owner:
            return False
        if stat.S_ISDIR(status.st_mode):
            if mode != 0o555:
                return False
            with os.scandir(here) as entries:
                pending += [entry.path for entry in entries]
        elif stat.S_ISREG(status.st_mode) and mode not in _FILE_MODES:
            return False
    return True


def set_aside(path: str) -> None:
    """Move an obstructing file or directory into a separate directory, where it is kept."""
    os.makedirs(paths.ASIDE, exist_ok=True)
    place = f"{paths.ASIDE}/{os.urandom(6).hex()}"
    os.mkdir(place, 0o700)
    syscalls.rename_new(path, f"{place}/{os.path.basename(path)}")
    say(f"moved into {paths.ASIDE}: {path}")
