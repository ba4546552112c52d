"""Find a takeover of another Nix's store that is unfinished, or waits for a boot."""

import os
from collections.abc import Sequence

from nix_aurora_host import paths
from nix_aurora_host.adopt.journal import pending
from nix_aurora_host.errors import CommandError
from nix_aurora_host.former.mounts import FSTAB, parse_fstab
from nix_aurora_host.mounts import Mount, read_mounts
from nix_aurora_host.system import read


def gather_adoption() -> str | None:
    """Return the directory of the other store; None if there is none, or only root can read it."""
    try:
        return pending()
    except PermissionError:
        return None
    except CommandError:  # the journal is damaged
        return paths.ADOPTION


def gather_waiting_disk() -> str | None:
    """Return the source that /etc/fstab mounts on /var/lib/nix, if it is not mounted yet."""
    return find_disk(read(FSTAB) or "", read_mounts(), os.path.realpath(paths.BASE))


def find_disk(fstab: str, mounts: Sequence[Mount], base: str) -> str | None:
    """Return the last source that ``fstab`` mounts on the store's directory, if it is not mounted.

    ``base`` is the target of the directory's links.
    """
    sources = [
        line.source
        for line in parse_fstab(fstab)
        if line.point in {paths.BASE, base} and "noauto" not in line.options
    ]
    mounted = any(mount.point == base for mount in mounts)
    return sources[-1] if sources and not mounted else None
