"""The default profile: whose Nix it has, and which version."""

import os
import re
from dataclasses import dataclass

from nix_aurora_host import paths
from nix_aurora_host.gather.closure import Closure
from nix_aurora_host.system import resolve, run


@dataclass(frozen=True, slots=True)
class Profile:
    """The default profile; ``nix`` is the store path that has the program."""

    exists: bool
    nix: str | None
    owner: str  # packaged, imported (by us, of another closure), administrator, none
    script: bool  # etc/profile.d/nix-daemon.sh
    version: tuple[int, ...] | None = None  # of its Nix, where that was asked for


def gather_profile(closure: Closure, *, ask_version: bool) -> Profile:
    """Look at the default profile, and ask its Nix for its version where that is wanted."""
    shown = resolve(f"{paths.PROFILE}/bin/nix")
    packaged = resolve(f"{closure.nix}/bin/nix")
    owner = owner_of(shown, packaged, resolve(f"{paths.ROOTS}/nix/bin/nix"))
    script = resolve(f"{paths.PROFILE}/etc/profile.d/nix-daemon.sh") is not None
    exists = os.path.lexists(paths.PROFILE)
    version = _version(shown) if shown and ask_version else None
    return Profile(exists, shown, owner, script, version)


def owner_of(shown: str | None, packaged: str | None, rooted: str | None) -> str:
    """Return whose the Nix of the default profile is, from where three names of one lead."""
    if shown is None:
        return "none"
    if shown == packaged:
        return "packaged"
    return "imported" if shown == rooted else "administrator"


def _version(program: str) -> tuple[int, ...] | None:
    """Ask a Nix for its version. It runs from /nix alone: None where that is not the store."""
    return parse_version(run([program.replace(paths.BASE, "/nix", 1), "--version"]).stdout)


def parse_version(text: str) -> tuple[int, ...] | None:
    """Parse "nix (Nix) 2.34.8" to (2, 34, 8); the last word: Determinate's is an upstream's."""
    words = text.split()
    found = re.match(r"[0-9]{1,9}(\.[0-9]{1,9})*", words[-1]) if words else None
    return tuple(map(int, found[0].split("."))) if found else None
