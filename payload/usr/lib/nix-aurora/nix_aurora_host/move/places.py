"""Where a move keeps what it does not need at once."""

from nix_aurora_host import paths

BEFORE = f"{paths.BASE}.before-move"
"""The former store, until an administrator removes it."""

MARKER = ".nix-aurora-move"
"""At the top of a copy that is not in use yet: all that is beside it was copied."""

KEPT = "lost+found"
"""What a new ext4 or XFS may have, and what no store has."""
