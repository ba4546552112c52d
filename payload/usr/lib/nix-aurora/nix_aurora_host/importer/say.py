"""Print the import's messages: lines for the journal."""


def say(line: str) -> None:
    """Print one line at once, since a run may be killed right after it."""
    print(f"nix-aurora: {line}", flush=True)
