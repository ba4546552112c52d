"""The build users, and the person whose logins are checked."""

import grp
import os
import pwd
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nix_aurora_host import paths
from nix_aurora_host.person import LostProfile, Person
from nix_aurora_host.system import follow, link
from nix_aurora_host.sysusers import GROUP, read_members


@dataclass(frozen=True, slots=True)
class Users:
    """The build users: ``ids`` of those that exist, ``absent`` names of those that are missing."""

    group: int | None
    members: tuple[str, ...]
    ids: Mapping[str, int]
    absent: tuple[str, ...]


def gather_users() -> Users:
    """Look up the build users as Nix does, by the members of their group."""
    wanted = read_members()
    try:
        entry = grp.getgrnam(GROUP)
    except KeyError:
        return Users(None, (), {}, wanted)
    return match_users(wanted, entry.gr_gid, entry.gr_mem, _find_id)


def match_users(
    wanted: Sequence[str], group: int, members: Sequence[str], find_id: Callable[[str], int | None]
) -> Users:
    """Return the ids of ``members`` that exist as users, and the build users that are missing."""
    # Nix ignores a member of the group that is not a user.
    ids = {name: number for name in members if (number := find_id(name)) is not None}
    return Users(group, tuple(members), ids, tuple(name for name in wanted if name not in ids))


def _find_id(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def find_person() -> Person:
    """Return the user who ran the command; under sudo, the user who ran sudo."""
    uid = os.getuid()
    sudo = os.environ.get("SUDO_UID", "")
    through_sudo = uid == 0 and sudo.isdecimal() and int(sudo) != 0
    if through_sudo:
        uid = int(sudo)
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        home = os.environ.get("HOME", "/") if not through_sudo else "/"
        return Person(uid, os.getgid(), str(uid), home)
    profile = f"{entry.pw_dir}/.nix-profile"
    lost = why_lost(profile)
    gone = (follow(profile) or "") if lost else ""
    return Person(uid, entry.pw_gid, entry.pw_name, entry.pw_dir, through_sudo, lost, gone)


def why_lost(profile: str) -> LostProfile | None:
    """Return why a profile leads nowhere; None if it is intact.

    Nix creates a link to a profile before the first package is in it, so such a link is intact.
    """
    if link(profile) is None:
        return None
    target = follow(profile)
    if target is None:
        return LostProfile.FOLDER  # the links form a circle
    if os.path.lexists(target):
        return None
    if target.startswith(f"{paths.STORE}/"):
        return LostProfile.CONTENT
    return None if os.path.lexists(target.rpartition("/")[0] or "/") else LostProfile.FOLDER
