"""The collector's roots, which keep the packaged Nix through every collection."""

import os

from nix_aurora_host import paths
from nix_aurora_host.importer.closure import Closure


def make_roots(closure: Closure) -> None:
    """Make the links aside: each is then renamed over the old one, so that none is ever missing."""
    # Nix itself creates these if there is no directory of roots yet.
    profiles = f"{paths.STATE}/gcroots/profiles"
    if not os.path.islink(profiles):
        os.symlink(f"{paths.STATE}/profiles", profiles)
    roles = {
        "nix": closure.nix,
        "cacert": closure.cacert,
        "profile": closure.profile,
        "manual": closure.manual,
    }
    for role, name in roles.items():
        link = f"{paths.WORK}/roots/{role}"
        if name is not None and not os.path.lexists(link):
            os.symlink(closure.path(name), link)


def add_root(role: str) -> None:
    """Rename one of the links to its final name."""
    os.rename(f"{paths.WORK}/roots/{role}", f"{paths.ROOTS}/{role}")


def add_roots() -> None:
    """Rename all of the links to their final names."""
    for role in os.listdir(f"{paths.WORK}/roots"):
        add_root(role)
