"""The commands of the README, for the tests that run them."""

import re
from pathlib import Path

_TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def commands(heading: str) -> list[str]:
    """Give the lines of code in the section under ``heading``, with continued ones joined."""
    (section,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", _TEXT, re.DOTALL | re.M)
    return re.findall(r"^ {4}(\S.*)$", re.sub(r"\\\n +", "", section), re.MULTILINE)
