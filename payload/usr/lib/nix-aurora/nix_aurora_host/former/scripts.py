"""Find the text of another Nix in the scripts that logins read."""

from collections.abc import Iterator

from nix_aurora_host.former.facts import ANOTHER, Cure, Kind, Trace
from nix_aurora_host.former.tree import Tree

# The start-up files into which both installers write a block: ShellProfileLocations of
# nix-installer's src/planner/mod.rs, PROFILE_TARGETS of Nix's scripts/install-multi-user.sh.
_FILES = (
    *("/etc/bashrc", "/etc/bash.bashrc", "/etc/zshrc", "/etc/zsh/zshrc"),
    *("/etc/profile.d/nix.sh", "/usr/local/etc/fish/conf.d/nix.fish"),
    "/usr/local/share/fish/vendor_conf.d/nix.fish",
)
_FOLDERS = {"/etc/profile.d": ".sh", "/etc/fish/conf.d": ".fish"}
_COPY = ".backup-before-nix"
_BEGIN, _END = "# Nix", "# End Nix"
_SOURCED = "/etc/profile.d/nix"  # nix-daemon.sh, nix-daemon.fish, nix.sh of a profile
_GUARD = "__ETC_PROFILE_NIX_SOURCED"  # only Nix's own scripts set this variable
_LONGEST = 12  # lines of a block


def find_blocks(text: str) -> tuple[int, ...]:
    """Return the numbers of the lines that an installer has written into a script.

    These are the lines from "# Nix" to "# End Nix", with the empty ones that were added with them.
    """
    lines = text.split("\n")
    found: list[int] = []
    index = 0
    while index < len(lines):
        end = _find_end(lines, index) if lines[index].strip() == _BEGIN else None
        if end is None:
            index += 1
            continue
        begin = index - 1 if index and not lines[index - 1].strip() else index
        end = _skip_empty(lines, end)
        found += (number for number in range(begin, end + 1) if number not in found)
        index = end + 1
    return tuple(number + 1 for number in found)


def _find_end(lines: list[str], begin: int) -> int | None:
    for index, line in enumerate(lines[begin : begin + _LONGEST], begin):
        if line.strip() == _END:
            block = lines[begin:index]
            return index if any(_SOURCED in line and "/nix/" in line for line in block) else None
    return None


def _skip_empty(lines: list[str], end: int) -> int:
    """Return the last line of a block, including an empty or blank line after it."""
    last = len(lines) - 2  # the text after the last line break is not a line
    if end < last and lines[end + 1] == "":
        end += 1
        if end < last and lines[end + 1].isspace():
            end += 1
    return end


def without(text: str, lines: tuple[int, ...]) -> str:
    """Return ``text`` without the lines of these numbers."""
    dropped = set(lines)
    kept = [line for number, line in enumerate(text.split("\n"), 1) if number not in dropped]
    return "\n".join(kept)


def judge_script(path: str, text: str) -> Trace | None:
    """Return the trace for a script, or for a block in it."""
    if _GUARD in text and not find_blocks(text):
        return Trace(Kind.SCRIPT, path, ANOTHER, "sets up logins for the daemon of another Nix")
    lines = find_blocks(text)
    if not lines:
        return None
    if not without(text, lines).strip():
        effect = "makes logins read a script of another Nix's default profile"
        return Trace(Kind.SCRIPT, path, ANOTHER, effect)
    effect = "has a block that makes logins read a script of another Nix's default profile"
    return Trace(Kind.SCRIPT, path, ANOTHER, effect, Cure.CUT, lines=lines)


def find_scripts(tree: Tree) -> Iterator[Trace]:
    """Yield the scripts of another Nix, and the copies that its installer made of others."""
    found = {
        f"{folder}/{name}"
        for folder, suffix in _FOLDERS.items()
        for name in tree.names(folder)
        if name.endswith(suffix)
    }
    for path in sorted(found.union(_FILES)):
        target = tree.link(path)
        if target is not None and target.startswith("/nix/") and _SOURCED in target:
            yield Trace(Kind.SCRIPT, path, ANOTHER, f"leads to {target}")
        elif target is None and (trace := judge_script(path, tree.read(path) or "")):
            yield trace
        if tree.link(f"{path}{_COPY}") is None and tree.exists(f"{path}{_COPY}"):
            effect = f"is what {path} was before its installer changed it"
            yield Trace(Kind.COPY, f"{path}{_COPY}", ANOTHER, effect)
