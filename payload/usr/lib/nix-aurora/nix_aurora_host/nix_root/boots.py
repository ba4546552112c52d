"""Record the boots with a new root that have not come up, and the kinds of root that failed.

Each line of the first file is a boot: its kind of root, its kernel, its id. The file is removed
once the boot is up (nix-root-good.service), or ends in an orderly shutdown (nix-root-stop.service).
Each line of the second file is a kind of root and a kernel that must not be combined again.
"""

import os

from nix_aurora_host import paths


def read_text(path: str) -> str | None:
    """Return the text of a file, or None if it does not exist."""
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
    """Return kind, kernel and id of each boot; skip an incomplete line."""
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
    """Record that this boot moves, and sync that to the disk."""
    with open(paths.PENDING, "a", encoding="utf-8") as file:
        file.write(f"{kind} {kernel} {boot}\n")
        file.flush()
        os.fsync(file.fileno())


def remove(boot: str) -> None:
    """Remove the record of this boot, which has not moved."""
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
