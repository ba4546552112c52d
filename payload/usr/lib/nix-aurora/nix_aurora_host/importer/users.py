"""Provide the build users in Nix's files, and the directories of /var/lib/nix."""

import os

from nix_aurora_host import paths
from nix_aurora_host.importer.say import say
from nix_aurora_host.sysusers import GROUP, read_members

_OURS = "nix-aurora.conf"
_HINT = "sudo nix-aurora doctor"


def prepare() -> None:
    """Create the build users and a store if they are missing.

    A host that booted before the package was installed has not run systemd's two programs for it,
    and these take longer than everything else in a run with nothing to do.
    """
    present = has_build_users()
    if not (present or _is_known()) or not os.path.isdir(paths.STORE):
        import subprocess  # noqa: PLC0415 - it takes a while to load

        if subprocess.run(["systemd-sysusers", _OURS], check=False).returncode:
            say("cannot create the build users: systemd-sysusers failed", _HINT)
        if subprocess.run(["systemd-tmpfiles", "--create", _OURS], check=False).returncode:
            say(f"cannot create {paths.HOME}: systemd-tmpfiles failed", _HINT)
        present = has_build_users()
    if not present:
        # rpm-ostree puts a layered package's users into /usr/lib, for the host's nss-altfiles.
        from nix_aurora_host import build_users  # noqa: PLC0415 - seldom needed

        if build_users.main():
            say("cannot write the build users into /etc", _HINT)
            return
    if os.path.lexists(paths.USERS_MISSING):
        os.unlink(paths.USERS_MISSING)


def has_build_users(users_file: str = "/etc/passwd", group_file: str = "/etc/group") -> bool:
    """Return whether Nix finds its build users.

    It asks its own C library for them, which reads only the files in /etc. The last user stands for
    all of them.
    """
    last = _find_last()
    users = {line.partition(":")[0] for line in _lines(users_file)}
    groups = (line.split(":") for line in _lines(group_file))
    members = [fields[3].split(",") for fields in groups if fields[0] == GROUP and fields[3:]]
    return bool(last) and last in users and any(last in names for names in members)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _find_last() -> str:
    """Return the name of the last build user; an empty one if the package is damaged."""
    return next(reversed(read_members()), "")


def _is_known() -> bool:
    """Return whether the host knows the last of them, from any source."""
    import grp  # noqa: PLC0415 - seldom needed
    import pwd  # noqa: PLC0415 - as above

    try:
        return grp.getgrgid(pwd.getpwnam(_find_last()).pw_gid).gr_name == GROUP
    except KeyError:
        return False
