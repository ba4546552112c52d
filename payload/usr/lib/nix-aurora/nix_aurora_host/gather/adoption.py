"""A takeover of another Nix's store that was begun and has not ended."""

from nix_aurora_host import paths
from nix_aurora_host.adopt.journal import pending
from nix_aurora_host.errors import CommandError


def gather_adoption() -> str | None:
    """Return the directory of the other store; None where there is none, or only root can know."""
    try:
        return pending()
    except PermissionError:
        return None
    except CommandError:  # the journal is damaged
        return paths.ADOPTION
