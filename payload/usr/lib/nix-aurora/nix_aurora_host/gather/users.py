"""The build users, and the person whose logins are looked at."""

import grp
import os
import pwd

from nix_aurora_host import paths
from nix_aurora_host.facts import Person, Users
from nix_aurora_host.system import read

GROUP = "nixbld"


def gather_users() -> Users:
    """Look the build users up, as Nix does, by the members of their group."""
    wanted = []
    for line in (read(paths.SYSUSERS) or "").splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "m" and words[2] == GROUP:
            wanted.append(words[1])
    try:
        entry = grp.getgrnam(GROUP)
    except KeyError:
        return Users(None, (), {}, tuple(wanted))
    ids = {}
    for name in entry.gr_mem:
        try:
            ids[name] = pwd.getpwnam(name).pw_uid
        except KeyError:  # a member that is no user is no build user either
            continue
    absent = tuple(name for name in wanted if name not in ids)
    return Users(entry.gr_gid, tuple(entry.gr_mem), ids, absent)


def find_person() -> Person:
    """Give who called: under sudo, the user that typed it."""
    uid = os.getuid()
    sudo = os.environ.get("SUDO_UID", "")
    through_sudo = uid == 0 and sudo.isdigit() and int(sudo) != 0
    if through_sudo:
        uid = int(sudo)
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Person(uid, os.getgid(), str(uid), os.environ.get("HOME", "/"))
    return Person(uid, entry.pw_gid, entry.pw_name, entry.pw_dir, through_sudo)
