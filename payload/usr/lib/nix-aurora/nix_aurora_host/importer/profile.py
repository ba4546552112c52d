"""Update the default profile: the packaged Nix and certificates, beside other packages."""

import os
import re
import subprocess

from nix_aurora_host import paths
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer.closure import Closure
from nix_aurora_host.importer.roots import add_root
from nix_aurora_host.importer.say import say

_BUNDLE = "etc/ssl/certs/ca-bundle.crt"
# Nothing is downloaded, built elsewhere, or run in a sandbox: Nix only makes links.
_LOCAL_ONLY = (
    *("--option", "substitute", "false"),
    *("--option", "builders", ""),
    *("--option", "sandbox", "false"),
)
_FEATURES = ("--extra-experimental-features", "nix-command flakes")


def update_profile(closure: Closure) -> None:
    """Upgrade the default profile to the package.

    This does not happen if the administrator installed a Nix there other than the one that is still
    rooted.
    """
    program = f"{paths.PROFILE}/bin/nix"
    if os.path.exists(program):
        shown = os.path.realpath(program)
        if shown == os.path.realpath(f"{closure.path(closure.nix)}/bin/nix"):
            return
        ours = [os.path.realpath(f"{paths.ROOTS}/{role}/bin/nix") for role in ("nix", "profile")]
        if shown not in ours:
            say(f"the default profile contains another Nix, which is kept: {shown}")
            return
        # This comes first: if this run is killed, the next one recognizes the new path as ours.
        add_root("profile")
    _install(closure)


def _install(closure: Closure) -> None:
    nix, cacert = closure.path(closure.nix), closure.path(closure.cacert)
    generation = f"{paths.PROFILE}-1-link"
    if not os.path.lexists(paths.PROFILE) and not os.path.lexists(generation):
        # The first profile is the packaged one.
        os.symlink(closure.path(closure.profile), generation)
        os.symlink(os.path.basename(generation), paths.PROFILE)
    elif os.path.exists(f"{paths.PROFILE}/manifest.json"):
        # The administrator uses nix profile on it.
        profile = (f"{nix}/bin/nix", *_FEATURES, "profile")
        for path in _find_former(nix):
            _run(*profile, "remove", "--profile", paths.PROFILE, path)
        _run(*profile, "install", "--profile", paths.PROFILE, *_LOCAL_ONLY, nix, cacert)
    else:
        command = (f"{nix}/bin/nix-env", "--profile", paths.PROFILE, *_LOCAL_ONLY)
        # Packages of the same name are replaced. An adopted store's Nix may have another name.
        known = {_package(path) for path in (nix, cacert)}
        if others := [path for path in _find_former(nix) if _package(path) not in known]:
            _run(*command, "--uninstall", *others)
        _run(*command, "--install", nix, cacert)


def _find_former(nix: str) -> list[str]:
    """Return the store paths of the profile's Nix and certificates."""
    if not os.path.exists(paths.PROFILE):
        return []
    found = _run(f"{nix}/bin/nix-store", "--query", "--references", paths.PROFILE).split()
    return [path for path in found if any(_is_shown(path, part) for part in ("bin/nix", _BUNDLE))]


def _package(path: str) -> str:
    """Return nix-env's name of a store path: its name up to the version."""
    name = os.path.basename(path).partition("-")[2]
    return re.split(r"-(?![A-Za-z])", name, maxsplit=1)[0]


def _is_shown(path: str, part: str) -> bool:
    """Return whether a part of the profile comes from a store path."""
    try:
        return os.path.samefile(f"{path}/{part}", f"{paths.PROFILE}/{part}")
    except (FileNotFoundError, NotADirectoryError):
        return False


def _run(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise CommandError(
            f"cannot update the default profile: {paths.PROFILE}: {os.path.basename(command[0])}: "
            f"exit code {done.returncode}",
            "sudo nix-aurora doctor",
        )
    return done.stdout
