"""Replace a file below /etc in one step: it always has its former text or the new one."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from nix_aurora_host.disk import sync

# Attributes that decide who may use a file: its SELinux context and its access control list.
_ATTRIBUTES = ("security.selinux", "system.posix_acl_access")
_NEW = 0o644


def edit(path: str, change: Callable[[bytes], bytes]) -> None:
    """Replace the text of ``path`` by the result of ``change``; a missing file counts as empty.

    Mode, owner, SELinux context, access control list, and a link to the file stay. Raise OSError,
    which names ``path``; then nothing was changed.
    """
    target = Path(os.path.realpath(path))
    try:
        former = target.read_bytes() if target.exists() else b""
        text = change(former)
        if text != former:
            _replace(target, text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _replace(target: Path, text: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            _take_attributes(target, file.fileno())
            file.flush()
            os.fsync(file.fileno())
        new.rename(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync(str(target.parent))


def _take_attributes(target: Path, descriptor: int) -> None:
    if not target.exists():
        os.fchmod(descriptor, _NEW)
        return
    status = target.stat()
    os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, status.st_mode & 0o7777)
    for name in set(os.listxattr(target)) & set(_ATTRIBUTES):
        os.setxattr(descriptor, name, os.getxattr(target, name))
