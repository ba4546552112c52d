"""The person whose logins and profile are checked."""

from dataclasses import dataclass
from enum import StrEnum


class LostProfile(StrEnum):
    """The reason why ~/.nix-profile leads nowhere."""

    FOLDER = "folder"  # its directory is missing
    CONTENT = "content"  # its store path is missing


@dataclass(frozen=True, slots=True)
class Person:
    """The person whose logins are checked: the caller, or the caller of sudo.

    ``lost_profile`` is why ~/.nix-profile leads nowhere: FOLDER if its directory is missing, or
    CONTENT if its store path is; None if it is intact. ``gone`` is the missing path.
    """

    uid: int
    gid: int
    name: str
    home: str
    through_sudo: bool = False
    lost_profile: LostProfile | None = None
    gone: str = ""
