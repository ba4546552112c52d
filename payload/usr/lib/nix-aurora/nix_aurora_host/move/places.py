"""The files and directories that a move creates or leaves in place."""

from nix_aurora_host import paths

BEFORE = f"{paths.BASE}.before-move"
"""The former store, until an administrator removes it."""

MARKER = ".nix-aurora-move"
"""The marker of a copy that is not in use yet: everything beside it was copied."""

KEPT = "lost+found"
"""A directory that a new file system may have, and a store never has."""
