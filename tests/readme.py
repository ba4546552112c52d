"""Read the commands of the README and the other pages, for the tests that run them."""

import re
from pathlib import Path

TOP = Path(__file__).parents[1]
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (TOP / "docs").glob("*.md")))
# Commands that need a host with the package begin like this.
HOST = ("nix-aurora", "sudo nix-aurora", "sudo systemctl restart", "sudo systemctl start")
# The blocks of these pages are for a real Aurora, to be followed by hand; the pages say so.
BY_HAND = ("docs/selinux.md", "docs/selinux-tests.md")
_SECTION = re.compile(r"^#+ (.*)\n", re.MULTILINE)
_BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)


def read(page: str) -> str:
    """Return the text of a page, by its path in the project."""
    return (TOP / page).read_text(encoding="utf-8")


def commands(heading: str, page: str = "README.md") -> list[str]:
    """Return the commands of the section under ``heading``, without its subsections."""
    # A comment in a block looks like a heading.
    text = _FENCED.sub(lambda block: re.sub(r"(?m)^#.*\n", "", block[0]), read(page))
    _, *parts = _SECTION.split(text)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    return _commands(sections[heading])


def every_command(page: str) -> list[str]:
    """Return the commands in the shell blocks of a page."""
    return _commands(read(page))


def indented_commands(page: str) -> list[str]:
    """Return the commands in indented blocks; in a list, an indented block is prose."""
    found, in_list = "", False
    for line in _FENCED.sub("", read(page)).splitlines():
        if line[:1].strip():
            in_list = re.match(r"(\d+\.|[-*]) ", line) is not None
        elif line.startswith("    ") and not in_list:
            found += f"{line[4:]}\n"
    return _commands(f"```sh\n{found}```")


def all_commands() -> list[str]:
    """Return the commands of all pages, except those to be followed by hand, without repeats."""
    pages = [page for page in PAGES if page not in BY_HAND]
    found = [line for page in pages for line in (*every_command(page), *indented_commands(page))]
    return list(dict.fromkeys(found))


def host_commands() -> list[str]:
    """Return those of all commands that need a host with the package."""
    begin = tuple(f"{words} " for words in HOST)
    return [command for command in all_commands() if f"{command} ".startswith(begin)]


def _commands(text: str) -> list[str]:
    """Return the lines without comments, with continued lines joined."""
    blocks = "".join(_BLOCK.findall(text))
    lines = re.sub(r"\\\n +", "", blocks).splitlines()
    return [command for line in lines if (command := re.sub(r"(^| +)# .*$", "", line).strip())]
