"""The last lines of purge: which files it keeps, and what to do next."""

import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from nix_aurora_host import layouts, paths, sysusers
from nix_aurora_host.dialog import say
from nix_aurora_host.gather.host import Host, gather_host
from nix_aurora_host.move.places import BEFORE
from nix_aurora_host.text import command

_LEFTOVERS = (
    *(".nix-profile", ".nix-defexpr", ".nix-channels", ".config/nix"),
    ".local/share/nix",
    *(
        f"{folder}/{layout['user_state']}"
        for layout in layouts.read_all()
        for folder in (".cache", ".local/state")
    ),
)


def tell_leftovers() -> None:
    """Print which files of users purge keeps, and the store from before a move."""
    if os.path.lexists(BEFORE):
        say("The store from before a move, which is kept. To remove it:")
        say(f"  {command(['sudo', 'rm', '-r', '--one-file-system', BEFORE])}")
    found = [
        f"{entry.pw_dir}/{name}"
        for entry in pwd.getpwall()
        for name in _LEFTOVERS
        if os.path.lexists(f"{entry.pw_dir}/{name}")
    ]
    if found:
        say("Files of users, which are kept:")
        for path in sorted(set(found)):
            say(f"  {path}")


def how_to_remove(host: Host) -> str:
    """Return how to remove the package from this kind of host."""
    if host.layered:
        return "sudo rpm-ostree uninstall nix-aurora"
    if host.image:
        return "build the image without it, then: sudo bootc upgrade"
    return "sudo dnf remove nix-aurora"


def tell_what_next(units: Sequence[str]) -> None:
    """Print how to import Nix again, by starting ``units``, and how to remove the package."""
    if not Path(paths.PACKAGE, "closure.json").exists():
        return
    say("The package, the group nixbld, its users and your settings in /etc are still installed.")
    say("The next boot imports Nix again. To import it now:")
    say(f"  sudo systemctl start {' '.join(units)}")
    how = how_to_remove(gather_host(ask_rpm_ostree=True))
    say(f"To remove the package: {how}. Then, to remove its users:")
    count, group = len(sysusers.read_members()), sysusers.GROUP
    say(f"  for n in $(seq {count}); do sudo userdel {group}$n; done; sudo groupdel {group}")
