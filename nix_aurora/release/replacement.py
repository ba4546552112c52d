"""Replace the text of a file of the project, or show the difference."""

import difflib
from collections.abc import Callable
from pathlib import Path

from nix_aurora import files


def replace_text(
    path: Path, text: str, *, dry_run: bool, check: Callable[[Path], object]
) -> list[str]:
    """Write ``text`` to the file at ``path``, and return that path if this changes the file.

    With ``dry_run`` the file stays unchanged, and the difference is returned. ``check`` reads the
    new file before it gets its final name; if it raises an error, the earlier file stays in place.
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
