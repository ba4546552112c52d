"""The default profile: the origin and version of its Nix."""

import os
import re
from dataclasses import dataclass

from nix_aurora_host import paths
from nix_aurora_host.gather.closure import Closure
from nix_aurora_host.system import resolve, run


@dataclass(frozen=True, slots=True)
class Profile:
    """The default profile; ``nix`` is the store path that contains the program."""

    exists: bool
    nix: str | None
    owner: str  # packaged, imported (by us, of another closure), administrator, none
    script: bool  # etc/profile.d/nix-daemon.sh
    version: tuple[int, ...] | None = None  # of its Nix, if requested


def gather_profile(closure: Closure, *, ask_version: bool) -> Profile:
    """Return the default profile; with ``ask_version``, ask its Nix for the version."""
    shown = resolve(f"{paths.PROFILE}/bin/nix")
    packaged = resolve(f"{closure.nix}/bin/nix")
    owner = owner_of(shown, packaged, resolve(f"{paths.ROOTS}/nix/bin/nix"))
    script = resolve(f"{paths.PROFILE}/etc/profile.d/nix-daemon.sh") is not None
    exists = os.path.lexists(paths.PROFILE)
    version = _version(shown) if shown and ask_version else None
    return Profile(exists, shown, owner, script, version)


def owner_of(shown: str | None, packaged: str | None, rooted: str | None) -> str:
    """Return the owner of the default profile's Nix, from the targets of three links to a Nix."""
    if shown is None:
        return "none"
    if shown == packaged:
        return "packaged"
    return "imported" if shown == rooted else "administrator"


def _version(program: str) -> tuple[int, ...] | None:
    """Return the version of a Nix; None if /nix, from which alone it runs, is not the store."""
    return parse_version(run([program.replace(paths.BASE, "/nix", 1), "--version"]).stdout)


def parse_version(text: str) -> tuple[int, ...] | None:
    """Parse "nix (Nix) 2.34.8" to (2, 34, 8); Determinate's output also ends in such a version."""
    words = text.split()
    found = re.match(r"[0-9]{1,9}(\.[0-9]{1,9})*", words[-1]) if words else None
    return tuple(map(int, found[0].split("."))) if found else None
