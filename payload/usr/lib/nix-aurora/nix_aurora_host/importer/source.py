"""Find the directories from which the packaged store paths are read.

On ostree, /usr is an overlay or an erofs image, from which no file system shares extents. But the
deployment's files are also below /sysroot, on the same file system as /var.
"""

import os
import struct

from nix_aurora_host import paths

_BOOTED = "/run/ostree-booted"
_DEPLOYMENTS = "/sysroot/ostree/deploy"
# The file is a GVariant dictionary, a{sv}: a key ends in NUL, its value begins at a multiple of
# eight and ends in NUL and its type. ostree `src/libotcore/otcore.h`.
_KEY = b"backing-root-device-inode\0"
_TYPE = b"\0(tt)"
_VALUE = struct.Struct("=QQ")


def find_sources() -> list[str]:
    """Return the directories with the packaged store paths, the best one first."""
    deployment = find_deployment()
    below = [f"{deployment}{paths.PACKAGED_STORE}"] if deployment else []
    return [path for path in below if os.path.isdir(path)] + [paths.PACKAGED_STORE]


def find_deployment() -> str | None:
    """Return the booted deployment's directory; None if it is not known.

    The kernel's command line is not used: after a soft reboot it names another deployment.
    """
    try:
        with open(_BOOTED, "rb") as file:
            wanted = parse_booted(file.read())
        if wanted is None:
            return None
        for system in os.listdir(_DEPLOYMENTS):
            deployments = f"{_DEPLOYMENTS}/{system}/deploy"
            for name in os.listdir(deployments):
                status = os.lstat(f"{deployments}/{name}")
                if (status.st_dev, status.st_ino) == wanted:
                    return f"{deployments}/{name}"
    except OSError:
        pass  # for another kind of host, or another version of ostree, /usr has the same files
    return None


def parse_booted(content: bytes) -> tuple[int, int] | None:
    """Return device and inode of the booted deployment from /run/ostree-booted, if present."""
    key = content.find(_KEY)
    if key < 0:
        return None
    start = -(-(key + len(_KEY)) // 8) * 8
    end = start + _VALUE.size
    if content[end : end + len(_TYPE)] != _TYPE:
        return None
    device, inode = _VALUE.unpack(content[start:end])
    return device, inode
