"""Print the import's messages: lines for the journal."""


def say(line: str, hint: str = "") -> None:
    """Print one line at once, since a run may be killed right after it; a hint is a second line."""
    print(f"nix-aurora: {line}" + (f"\nhint: {hint}" if hint else ""), flush=True)
