"""Answer nix-root's questions about the table of mounts."""

from nix_aurora_host.mounts import Mount


def topmost(mounts: list[Mount], point: str) -> Mount | None:
    """Return the visible mount on a directory, or None."""
    found = [mount for mount in mounts if mount.point == point]
    return found[-1] if found else None


def count(mounts: list[Mount], point: str) -> int:
    """Return how many mounts are on a directory."""
    return sum(1 for mount in mounts if mount.point == point)


def outermost(places: set[str]) -> list[str]:
    """Return the directories, without /, that are in no other of ``places`` but /."""
    return sorted(place for place in places - {"/"} if not _parents(place) & places)


def _parents(place: str) -> set[str]:
    """Return the directories above ``place``, without /."""
    names = place.split("/")
    return {"/".join(names[:length]) for length in range(2, len(names))}
