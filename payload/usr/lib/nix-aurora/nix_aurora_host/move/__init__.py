"""Move the store to a file system of its own.

The copy is complete, compared and on its disk before /etc/fstab names it, and the original is kept.
A move may be killed at any instruction: until /etc/fstab is replaced, nothing has changed,
and from then on each boot mounts the copy.

In: a mount point that /etc/fstab names, and /var/lib/nix.
Out: /var/lib/nix as a mount of that file system, and the former store beside it.
"""
