"""The person whose logins and profile are looked at."""

from dataclasses import dataclass
from enum import StrEnum


class LostProfile(StrEnum):
    """Why ~/.nix-profile leads nowhere."""

    FOLDER = "folder"  # its directory is missing
    CONTENT = "content"  # its store path is missing


@dataclass(frozen=True, slots=True)
class Person:
    """Whose logins are looked at: the caller, or who called sudo.

    ``lost_profile`` tells why ~/.nix-profile leads nowhere: FOLDER, its directory is gone, or
    CONTENT, its store path is; None where it is well. ``gone`` is what is missing.
    """

    uid: int
    gid: int
    name: str
    home: str
    through_sudo: bool = False
    lost_profile: LostProfile | None = None
    gone: str = ""
