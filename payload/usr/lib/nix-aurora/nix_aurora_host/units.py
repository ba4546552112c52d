"""The package's units, from the list that it brings for its scriptlets, too."""

import os

from nix_aurora_host import paths

_LIST = os.path.join(os.path.dirname(os.path.dirname(__file__)), "units")  # noqa: PTH118, PTH120


def parse(text: str) -> tuple[str, ...]:
    """Return the names in a list of units, which has a comment or a unit on each line."""
    return tuple(line.split()[0] for line in text.splitlines() if line and line[0] != "#")


with open(_LIST, encoding="utf-8") as _file:  # noqa: PTH123 - pathlib takes a while to load
    ALL = parse(_file.read())
BACKUP = (paths.BACKUP_TIMER, paths.BACKUP)
"""The units that copy the database. Older packages do not have them."""
UNITS = tuple(name for name in ALL if name not in BACKUP)
"""All others, in the order in which they start: without one of them, Nix does not work."""
