"""Recognize units of another Nix by what they do."""

import re
from collections.abc import Iterator, Mapping

from nix_aurora_host import paths, units
from nix_aurora_host.former.facts import ANOTHER, INSTALLER, Kind, Trace
from nix_aurora_host.former.tree import Tree

OURS = frozenset((*units.ALL, paths.ROOT, paths.ROOT_GOOD))
# The installers' names for theirs; no other units have them.
_THEIRS = frozenset(
    {
        *("determinate-nixd.socket", "determinate-nixd.service", "nix-directory.service"),
        *("ensure-symlinked-units-resolve.service", "nix.automount"),
    }
)
_SUFFIXES = (".service", ".socket", ".mount", ".automount", ".target", ".timer", ".path")
_PACKAGED = ("/usr/lib/systemd/system/", "/lib/systemd/system/")
_MASK = "/dev/null"
# an edited copy of a packaged unit names a program there
_OUR_PROGRAMS = "/usr/libexec/nix-aurora/"
# Text in the command lines of another Nix's units, with its owner and its effect.
_PROGRAMS = (
    (re.compile(r"determinate-nixd"), INSTALLER, "starts determinate-nixd as the daemon"),
    (
        re.compile(r"\bchattr\s+-i\s+/(?:\s|$)|\bmkdir\b.*\s/nix(?:\s|$)"),
        INSTALLER,
        "makes directories in /, which the image forbids",
    ),
    (
        re.compile(r"\bsystemctl\b.*\b(?:re)?start\b.*\bnix-daemon\.(?:socket|service)\b"),
        INSTALLER,
        "restarts the socket in each boot, while clients use it",
    ),
    (
        re.compile(r"(?:^|[/@\s])nix-daemon(?:\s|$)|(?:^|[/@\s])nix\s+daemon(?:\s|$)"),
        ANOTHER,
        "starts the daemon of another Nix",
    ),
)
_SOCKETS = (
    ("/nix/var/determinate/", INSTALLER, "starts the daemon for clients of determinate-nixd"),
    ("/nix/var/nix/daemon-socket/", ANOTHER, "listens in place of the packaged socket"),
)


def parse_unit(text: str) -> list[tuple[str, str]]:
    """Return the settings of a unit or a drop-in, in their order, without the sections."""
    joined = re.sub(r"\\\n", " ", text)
    lines = (line.strip() for line in joined.split("\n"))
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#;[")
    return [(key.strip(), value.strip()) for key, equals, value in pairs if equals]


def judge_unit(text: str) -> tuple[str, str] | None:
    """Return a unit's owner and effect, from its text; None if it is not another Nix's."""
    pairs = parse_unit(text)
    where = [value for key, value in pairs if key == "Where" and _is_nix(value)]
    if where:
        what = next((value for key, value in pairs if key == "What"), "something")
        whose = INSTALLER if ("PropagatesStopTo", "nix-directory.service") in pairs else ANOTHER
        return whose, f"mounts {what} on {where[0]}"
    run = [value for key, value in pairs if key.startswith("Exec")]
    heard = [value for key, value in pairs if key.startswith("Listen")]
    for pattern, whose, effect in _PROGRAMS:
        if any(pattern.search(line) for line in run):
            return whose, effect
    for prefix, whose, effect in _SOCKETS:
        if any(path.startswith(prefix) for path in heard):
            return whose, effect
    return None


def _is_nix(path: str) -> bool:
    return path == "/nix" or path.startswith("/nix/")


def find_units(tree: Tree) -> Iterator[Trace]:
    """Yield the units of another Nix, its changes to ours, and the links that start them."""
    units: dict[str, Trace] = {}
    for folder in paths.UNIT_FOLDERS:
        for name in tree.names(folder):
            if name.endswith(_SUFFIXES) and (trace := look_at_unit(tree, folder, name)):
                yield trace
                units.setdefault(name, trace)
    for folder in paths.UNIT_FOLDERS:
        for name in tree.names(folder):
            if name.endswith(".d"):
                yield from _look_at_drop_ins(tree, f"{folder}/{name}", units)
            elif name.endswith((".wants", ".requires")):
                yield from _look_at_links(tree, f"{folder}/{name}", units)


def look_at_unit(tree: Tree, folder: str, name: str) -> Trace | None:
    """Return the trace for the unit of this name, if there is one."""
    path = f"{folder}/{name}"
    if not tree.exists(path):
        return None
    target = tree.link(path)
    if target is None:
        judged = judge_unit(tree.read(path) or "")
    elif target == _MASK or target.startswith(_PACKAGED):
        return None
    elif _is_nix(target):
        if name not in OURS | _THEIRS:
            return None  # a unit that an administrator installed with Nix
        judged = ANOTHER, f"leads to {target}, in a store that boots mount after they read units"
    else:
        judged = judge_unit(tree.read(target) or "")
    if judged is None and name in OURS:
        own = _OUR_PROGRAMS in (tree.read(target or path) or "")
        judged = "an administrator" if own else ANOTHER, f"takes the place of the packaged {name}"
    elif judged is None and name in _THEIRS:
        judged = INSTALLER, "belongs to a Nix that this package replaces"
    return Trace(Kind.UNIT, path, *judged, unit=name) if judged else None


def _look_at_drop_ins(tree: Tree, folder: str, units: Mapping[str, Trace]) -> Iterator[Trace]:
    unit = folder.rpartition("/")[2].removesuffix(".d")
    for name in tree.names(folder):
        path = f"{folder}/{name}"
        if not name.endswith(".conf"):
            continue
        if unit in OURS:  # an administrator's settings there also apply to ours
            judged = judge_unit(tree.read(path) or "")
        elif unit in units:
            judged = units[unit].whose, f"changes {unit}"
        else:
            judged = None
        if judged:
            yield Trace(Kind.DROP_IN, path, *judged, unit=unit)


def _look_at_links(tree: Tree, folder: str, units: Mapping[str, Trace]) -> Iterator[Trace]:
    starter, _, word = folder.rpartition("/")[2].rpartition(".")
    for name in tree.names(folder):
        path = f"{folder}/{name}"
        target = tree.link(path)
        if target is None or target == _MASK or target.startswith(_PACKAGED):
            continue
        if name in units or name in OURS | _THEIRS:
            whose = units[name].whose if name in units else ANOTHER
            verb = "require" if word == "requires" else "start"
            yield Trace(Kind.LINK, path, whose, f"makes {starter} {verb} {name}", unit=name)
