"""Find a store in the root directory's own /nix, which our mount on /nix hides."""

import ctypes
import os
from collections.abc import Iterator

from nix_aurora_host.former.facts import FormerStore
from nix_aurora_host.former.stores import BELOW, is_store
from nix_aurora_host.former.tree import Tree

# open_tree(2), which is number 428 on every architecture: asm-generic/unistd.h of Linux.
_OPEN_TREE = 428
_AT_FDCWD = -100  # fcntl.h
_CLONE = 1  # OPEN_TREE_CLONE: linux/mount.h
_syscall = ctypes.CDLL(None, use_errno=True).syscall


def find_hidden(path: str = "/") -> Iterator[FormerStore]:
    """Yield the store in /nix of the file system on ``path``, if root asks and there is one.

    The caller knows that our store is mounted on /nix. The descriptor stays open, so that the store
    can be read through it.
    """
    flags = _CLONE | os.O_CLOEXEC
    descriptor = _syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)
    if descriptor < 0:
        return  # not root, or a kernel before 5.2, without which nobody can look there
    seen = f"/proc/self/fd/{descriptor}/nix"
    if is_store(Tree(), seen):
        yield FormerStore("", BELOW, seen=seen)
    else:
        os.close(descriptor)
