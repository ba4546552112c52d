"""Lines in tmpfiles.d for /run/opengl-driver: the one that gpu enable writes, and all others.

tmpfiles.d(5) describes the format, the directories, and the precedence of files.
"""

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import suppress

from nix_aurora_host import layouts, paths, system
from nix_aurora_host.database.rows import STORE_NAME
from nix_aurora_host.former.tree import Tree
from nix_aurora_host.gpu.facts import Other

_DIRECTORIES = (
    *("/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d"),
)
_INSTALLABLE = "# installable: "
_HEAD = """\
# nix-aurora gpu enable writes this file, and nix-aurora gpu disable removes it. At each boot, the
# link is made where programs of nixpkgs look for graphics drivers.
"""
# Home Manager: modules/targets/generic-linux/gpu/setup/ at 88679124e2e27bf384ef2690a3de6fc908c97c59
# contains the unit, and a file of tmpfiles.d beside it.
_HOME_MANAGER = {
    "/etc/systemd/system/non-nixos-gpu.service": "Home Manager's unit",
    "/etc/tmpfiles.d/non-nixos-gpu.conf": "Home Manager's file",
}
_IGNORED = "xXzZ"  # types that protect a path from cleaning, or label it


def render(installable: str, target: str) -> str:
    """Return the text of our file. An installable may contain any character."""
    return f"{_HEAD}{_INSTALLABLE}{json.dumps(installable)}\nL {paths.GPU_LINK} - - - - {target}\n"


def parse(text: str) -> tuple[str, str | None]:
    """Return installable and store path of our file; None if render() would not write it so."""
    installable = ""
    for line in text.splitlines():
        if line.startswith(_INSTALLABLE):
            with suppress(ValueError):  # the file was edited
                installable = str(json.loads(line.removeprefix(_INSTALLABLE)))
    fields = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    match fields:
        case [["L", paths.GPU_LINK, "-", "-", "-", "-", target]] if is_store_path(target):
            return installable, target
    return installable, None


def is_store_path(path: str) -> bool:
    """Return whether ``path`` is a store path of any layout, and not a file inside one."""
    prefix, _, name = path.rpartition("/")
    prefixes = {layout["store"] for layout in layouts.read_all()}
    return prefix in prefixes and STORE_NAME.fullmatch(name) is not None


def find_others(top: str = "") -> tuple[Other, ...]:
    """Return the other files that set the link, in the tree ``top``, by default the host."""
    return tuple(_find_others(Tree(top)))


def _find_others(tree: Tree) -> Iterator[Other]:
    for path, what in _HOME_MANAGER.items():
        if tree.exists(path):
            yield Other(path, what)
    seen = {os.path.basename(paths.GPU_TMPFILES), *map(os.path.basename, _HOME_MANAGER)}  # noqa: PTH119
    for directory in _DIRECTORIES:
        for name in tree.names(directory):
            if name in seen or not name.endswith(".conf"):
                continue
            seen.add(name)  # files of this name in later directories are not read
            if sets_link(_read(tree, f"{directory}/{name}")):
                yield Other(f"{directory}/{name}", "a file of tmpfiles.d")


def _read(tree: Tree, path: str) -> str:
    """Return the text of a file that root installed, perhaps as a link into the store."""
    if tree.link(path) is None:
        return tree.read(path) or ""
    target = system.follow(f"{tree.top}{path}")
    return Tree().read(target) or "" if target is not None else ""


def sets_link(text: str) -> bool:
    """Return whether a file of tmpfiles.d creates or removes /run/opengl-driver."""
    if "opengl-driver" not in text:
        return False
    return any(_names_link(line) for line in text.splitlines())


def _names_link(line: str) -> bool:
    try:
        fields = shlex.split(line, comments=True)
    except ValueError:  # an unclosed quote
        fields = line.split()
    if len(fields) < 2 or fields[0][:1] in _IGNORED:
        return False
    return os.path.normpath(fields[1]) == paths.GPU_LINK
