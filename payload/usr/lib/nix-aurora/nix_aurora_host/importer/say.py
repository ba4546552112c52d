"""What the import says: lines for the journal."""


def say(line: str) -> None:
    """Print one line at once: a run may be killed right after it."""
    print(f"nix-aurora: {line}", flush=True)
