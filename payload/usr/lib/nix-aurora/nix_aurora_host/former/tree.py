"""Read the host's files without following links, and with limited sizes.

Another Nix may have left them.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from nix_aurora_host.others import names_untrusted, read_untrusted

_LIMIT = 256 << 10  # bytes; the longest of these files has some thousands


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of files; ``top`` is empty for the host's own."""

    top: str = ""

    def read(self, path: str) -> str | None:
        """Return the text of a regular file; None for anything else, and for one too long."""
        text = read_untrusted(self.top or "/", path, _LIMIT + 1)
        return text if text is not None and len(text) <= _LIMIT else None

    def names(self, path: str) -> tuple[str, ...]:
        """Return the sorted names in a directory; an empty tuple if it does not exist."""
        return names_untrusted(self.top or "/", path)

    def link(self, path: str) -> str | None:
        """Return a link's target as an absolute path, even if it is missing.

        Return None for other files.
        """
        try:
            target = str(Path(f"{self.top}{path}").readlink())
        except OSError:
            return None
        return os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120

    def exists(self, path: str) -> bool:
        """Return whether a file has this name; a broken link counts, too."""
        return os.path.lexists(f"{self.top}{path}")

    def is_directory(self, path: str) -> bool:
        """Return whether ``path`` is a directory."""
        return os.path.isdir(f"{self.top}{path}")  # noqa: PTH112 - as the rest

    def is_same(self, path: str, other: str) -> bool:
        """Return whether two paths lead to one directory."""
        try:
            return os.path.samefile(f"{self.top}{path}", f"{self.top}{other}")  # noqa: PTH121
        except OSError:  # one of them is missing
            return False
