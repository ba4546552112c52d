"""A file of the project that gets another text, or shows the difference."""

import difflib
from collections.abc import Callable
from pathlib import Path

from nix_aurora import files


def replace_text(
    path: Path, text: str, *, dry_run: bool, check: Callable[[Path], object]
) -> list[str]:
    """Write ``text`` to the file at ``path``, and return that path if this changes the file.

    With ``dry_run`` the file stays, and the difference is returned. ``check`` reads the new file
    before it has its name, and raises an error that leaves the former one in place.
    """
    former = path.read_text(encoding="utf-8")
    if text == former:
        return []
    if dry_run:
        lines = former.splitlines(), text.splitlines()
        return list(difflib.unified_diff(*lines, path.name, path.name, lineterm=""))
    with files.new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        check(temporary)
    return [str(path)]
