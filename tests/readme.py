"""Read the commands of the README and the other pages, for the tests that run them."""

import re
from pathlib import Path
from textwrap import dedent

TOP = Path(__file__).parents[1]
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (TOP / "docs").glob("*.md")))
# Commands that begin like this need a host with the package.
HOST = ("nix-aurora", "sudo nix-aurora", "sudo systemctl restart", "sudo systemctl start")
# Readers run the blocks of these pages by hand on a real Aurora; the pages say so.
BY_HAND = ("docs/selinux.md", "docs/selinux-tests.md")
# One test follows each of these pages from the first command to the last: tests/host/test_pages.py.
FOLLOWED = (
    "docs/backup.md",
    "docs/direnv.md",
    "docs/home-manager.md",
    "docs/private-caches.md",
    "docs/system-services.md",
    "docs/ujust.md",
)
_SECTION = re.compile(r"^#+ (.*)\n", re.MULTILINE)
_BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)


def read(page: str) -> str:
    """Return the text of a page, by its path in the project."""
    return (TOP / page).read_text(encoding="utf-8")


def commands(heading: str, page: str = "README.md") -> list[str]:
    """Return the commands of the section under ``heading``, without its subsections."""
    return _commands(_section(heading, page))


def file_block(heading: str, page: str, language: str) -> str:
    """Return the section's first block in ``language``, which a reader writes to a file."""
    pattern = rf"^ *```{language}\n(.*?)^ *```$"
    found = re.search(pattern, _section(heading, page), re.DOTALL | re.MULTILINE)
    if found is None:
        raise KeyError(f"{page}: {heading}: no block of {language}")
    return dedent(found[1])


def _section(heading: str, page: str) -> str:
    # A comment in a block looks like a heading, so it gets a prefix while the page is split.
    text = _FENCED.sub(lambda block: re.sub(r"(?m)^#", "\0#", block[0]), read(page))
    _, *parts = _SECTION.split(text)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    return sections[heading].replace("\0", "")


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
    """Return the commands of all pages, except those of BY_HAND and FOLLOWED, without repeats."""
    pages = [page for page in PAGES if page not in (*BY_HAND, *FOLLOWED)]
    found = [line for page in pages for line in (*every_command(page), *indented_commands(page))]
    return list(dict.fromkeys(found))


def host_commands() -> list[str]:
    """Return the commands, of all pages, that need a host with the package."""
    begin = tuple(f"{words} " for words in HOST)
    return [command for command in all_commands() if f"{command} ".startswith(begin)]


def _commands(text: str) -> list[str]:
    """Return the lines without comments, with continued lines joined."""
    blocks = "".join(_BLOCK.findall(text))
    lines = re.sub(r"\\\n +", "", blocks).splitlines()
    return [command for line in lines if (command := re.sub(r"(^| +)# .*$", "", line).strip())]
