"""Leave notes for other programs in this boot: files in /run/nix-aurora, lines in the journal."""

import os

from nix_aurora_host import paths

MADE = f"{paths.RUN}/root"
"""The file with the kind of this boot's root."""


def note(path: str, word: str) -> None:
    """Write a word into a file of this boot."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{word}\n")


def remove(path: str) -> bool:
    """Remove a file; return whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def say(message: str) -> None:
    """Print a message at once: the messages of a killed run must be in the journal."""
    print(f"nix-root: {message}", flush=True)


def hint(command: str) -> None:
    """Print the next command."""
    print(f"hint: {command}", flush=True)
