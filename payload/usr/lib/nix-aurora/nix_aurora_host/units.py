"""The package's units, from the list that its scriptlets also use."""

import os

from nix_aurora_host import layouts, paths

_LIST = os.path.join(os.path.dirname(os.path.dirname(__file__)), "units")  # noqa: PTH118, PTH120


def parse(text: str) -> tuple[str, ...]:
    """Return the names in a list of units; each line is a comment or a unit."""
    return tuple(line.split()[0] for line in text.splitlines() if line and line[0] != "#")


def add_mounts(names: tuple[str, ...], mounts: list[str]) -> tuple[str, ...]:
    """Return ``names`` with the missing ``mounts`` inserted after nix.mount."""
    end = names.index(paths.MOUNT) + 1
    return (*names[:end], *(name for name in mounts if name not in names), *names[end:])


with open(_LIST, encoding="utf-8") as _file:  # noqa: PTH123 - pathlib takes a while to load
    ALL = add_mounts(parse(_file.read()), [layout["mount"] for layout in layouts.read_all()])
BACKUP = (paths.BACKUP_TIMER, paths.BACKUP)
"""The units that copy the database. Older packages do not contain them."""
COLLECTION = (paths.GC_TIMER, paths.GC, paths.GC_FULL_TIMER, paths.GC_FULL)
"""The units that collect garbage, if the administrator has enabled that."""
UNITS = tuple(name for name in ALL if name not in (*BACKUP, *COLLECTION))
"""All others, in the order in which they start. Nix needs every one of them."""
