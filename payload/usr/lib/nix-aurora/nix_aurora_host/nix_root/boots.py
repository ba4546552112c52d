"""The boots with a new root that have not come up, and the kinds of root that failed before.

Each line of the first file is a boot: its kind of root, its kernel, its id. Once the boot is up
(nix-root-good.service), or ends in an orderly shutdown (nix-root-stop.service), the file is gone.
Each line of the second file is a kind of root and a kernel with which nobody wants it again.
"""

import os

from nix_aurora_host import paths


def read_text(path: str) -> str | None:
    """Return the text of a file, or None where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None


def count(text: str | None) -> int:
    """Return how many boots the file counts; an older package left it empty for one."""
    if text is None:
        return 0
    return max(len(text.splitlines()), 1)


def parse(text: str) -> list[tuple[str, str, str]]:
    """Return kind, kernel and id of each boot; a line that has not all of them is skipped."""
    lines = [line.split() for line in text.splitlines()]
    return [(words[0], words[1], words[2]) for words in lines if len(words) == 3]


def without(text: str, boot: str) -> str:
    """Return the file's text without the lines of the boot with that id."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.split()[-1:] != [boot])


def is_avoided(text: str, kind: str, kernel: str) -> bool:
    """Return whether the second file names this kind of root with this kernel."""
    return f"{kind} {kernel}" in text.splitlines()


def add(kind: str, kernel: str, boot: str) -> None:
    """Note that this boot moves, and have that on the disk."""
    with open(paths.PENDING, "a", encoding="utf-8") as file:
        file.write(f"{kind} {kernel} {boot}\n")
        file.flush()
        os.fsync(file.fileno())


def remove(boot: str) -> None:
    """Take back the note of this boot, which has not moved."""
    text = read_text(paths.PENDING)
    if text is None:
        return
    kept = without(text, boot)
    if not kept:
        os.unlink(paths.PENDING)
        return
    new = f"{paths.PENDING}.new"
    with open(new, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(kept)
    os.rename(new, paths.PENDING)
