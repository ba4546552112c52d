"""Copy the build users to /etc/passwd and /etc/group, which Nix's own C library reads.

The host may know them from another source: nss-altfiles on ostree, or systemd's user records.
"""

import fcntl
import grp
import os
import pwd
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nix_aurora_host import replace
from nix_aurora_host.sysusers import GROUP, read_members

USERS_FILE = "/etc/passwd"
GROUP_FILE = "/etc/group"
LOCK = "/etc/.pwd.lock"
_PATIENCE = 15.0  # seconds, as lckpwdf(3)


def main() -> int:
    """Copy missing entries and report them; return the exit code."""
    wanted = read_members()
    try:
        group = grp.getgrnam(GROUP)
        users = _find(wanted)
        with _lock():
            replace.edit(GROUP_FILE, lambda text: with_members(text, group.gr_gid, users))
            replace.edit(USERS_FILE, lambda text: with_users(text, users.values()))
    except KeyError:
        sys.stderr.write(f"nix-aurora: cannot copy the build users: no group {GROUP}\n")
        return 1
    except OSError as error:
        what = error.filename or LOCK
        sys.stderr.write(f"nix-aurora: cannot copy the build users: {what}: {error.strerror}\n")
        return 1
    if absent := [name for name in wanted if name not in users]:
        sys.stderr.write(f"nix-aurora: these build users are missing: {', '.join(absent)}\n")
    sys.stderr.write("nix-aurora: the build users are in /etc now, where Nix looks for them\n")
    return 0


def with_members(text: bytes, gid: int, names: Iterable[str]) -> bytes:
    """Return the text of /etc/group with ``names`` in the group; ``gid`` is for a new one."""
    start = f"{GROUP}:".encode()
    lines = _lines(text)
    for number, line in enumerate(lines):
        if line.startswith(start):
            fields = line.removesuffix(b"\n").split(b":")
            fields += [b""] * (4 - len(fields))
            members = [name for name in fields[3].split(b",") if name]
            members += [name.encode() for name in names if name.encode() not in members]
            lines[number] = b":".join([*fields[:3], b",".join(members)]) + b"\n"
            return b"".join(lines)
    return _insert(lines, [f"{GROUP}:x:{gid}:{','.join(names)}\n".encode()])


def with_users(text: bytes, records: Iterable[pwd.struct_passwd]) -> bytes:
    """Return the text of /etc/passwd with ``records``; existing entries stay."""
    lines = _lines(text)
    known = {line.partition(b":")[0] for line in lines}
    return _insert(
        lines,
        [
            f"{user.pw_name}:x:{user.pw_uid}:{user.pw_gid}:{user.pw_gecos}:{user.pw_dir}:"
            f"{user.pw_shell}\n".encode()
            for user in records
            if user.pw_name.encode() not in known
        ],
    )


def _lines(text: bytes) -> list[bytes]:
    """Return the lines with their ends; the last one gets a missing end, for the line after it."""
    return [line + b"\n" for line in text.removesuffix(b"\n").split(b"\n")] if text else []


def _insert(lines: list[bytes], new: list[bytes]) -> bytes:
    """Return the text with ``new`` before the lines of NIS, which are the last ones: passwd(5)."""
    if not new:
        return b"".join(lines)
    place = next((n for n, line in enumerate(lines) if line[:1] in {b"+", b"-"}), len(lines))
    return b"".join([*lines[:place], *new, *lines[place:]])


def _find(names: Iterable[str]) -> dict[str, pwd.struct_passwd]:
    found = {}
    for name in names:
        try:
            found[name] = pwd.getpwnam(name)
        except KeyError:  # main() names it
            continue
    return found


@contextmanager
def _lock() -> Iterator[None]:
    """Hold the lock of useradd, passwd and systemd-sysusers: lckpwdf(3)."""
    descriptor = os.open(LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError) as error:  # fcntl(2) documents both
                if time.monotonic() > deadline:
                    raise TimeoutError(110, "another process holds the lock", LOCK) from error
            time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)
