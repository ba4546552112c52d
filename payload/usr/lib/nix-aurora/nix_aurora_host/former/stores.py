"""Find the stores of another Nix, which ``nix-aurora adopt`` can take over."""

from collections.abc import Iterable, Iterator, Sequence

from nix_aurora_host import paths
from nix_aurora_host.former.facts import FormerStore
from nix_aurora_host.former.mounts import FSTAB, Line, parse_fstab
from nix_aurora_host.former.tree import Tree
from nix_aurora_host.former.units import parse_unit

# The places of installers and of instructions for Atomic hosts.
USUAL = ("/var/home/nix", "/var/nix", "/var/usrlocal/nix", "/nix.before-nix-aurora")
FORMER = "/etc/nix-aurora.former"
"""The directory in which set-aside keeps moved files."""
_FOLDER_OF_MOUNTS = "/etc/systemd/system"
BELOW = f"/nix, below the mount of {paths.BASE}"
"""The description of a store that our mount hides."""


def is_store(tree: Tree, path: str) -> bool:
    """Return whether a directory has a store and its database, and is not ours."""
    return (
        tree.is_directory(f"{path}/store")
        and tree.is_directory(f"{path}/var/nix")
        and tree.exists(f"{path}/var/nix/db")
        and not tree.is_same(path, paths.BASE)
    )


def sources(tree: Tree) -> list[Line]:
    """Return what /etc/fstab and another Nix's mount units mount on /nix, even if put aside."""
    found = [*_of_nix(parse_fstab(tree.read(FSTAB) or "")), *_of_units(tree, paths.UNIT_FOLDERS)]
    return [*found, *put_aside_sources(tree)]


def put_aside_sources(tree: Tree) -> list[Line]:
    """Return what the lines and mount units that were put aside mounted on /nix.

    A source that is now mounted on /var/lib/nix is ours.
    """
    now = parse_fstab(tree.read(FSTAB) or "")
    kept = {line.source for line in now if line.point == paths.BASE}
    # A line that was put aside is in a copy of its file; a unit is a separate file.
    copies = [name for name in tree.names(f"{FORMER}/etc") if name.split(".")[0] == "fstab"]
    texts = [tree.read(f"{FORMER}/etc/{name}") or "" for name in copies]
    lines = [line for text in texts for line in _of_nix(parse_fstab(text))]
    lines += _of_units(tree, (f"{FORMER}{_FOLDER_OF_MOUNTS}",))
    return [line for line in lines if line.source not in kept]


def _of_nix(lines: Iterable[Line]) -> Iterator[Line]:
    return (line for line in lines if line.point == "/nix")


def _of_units(tree: Tree, folders: Iterable[str]) -> Iterator[Line]:
    for folder in folders:
        for name in tree.names(folder):
            if name.startswith("nix.mount"):
                yield from _of_unit(tree.read(f"{folder}/{name}") or "")


def _of_unit(text: str) -> Iterator[Line]:
    pairs = dict(parse_unit(text))
    if pairs.get("Where") == "/nix" and (what := pairs.get("What")):
        options = tuple(pairs.get("Options", "").split(","))
        yield Line(0, what, "/nix", pairs.get("Type", "auto"), options)


def find_stores(tree: Tree, *, ours: bool, lines: Iterable[Line]) -> Iterator[FormerStore]:
    """Yield the stores of another Nix, each once; ``ours`` means that /nix is our store."""
    seen = {paths.BASE}
    candidates = [line.source for line in lines if line.source.startswith("/")]
    usual = ["/nix"] if not ours else []
    for path in (*usual, *USUAL, *candidates):
        if path.startswith("/dev/") or not is_store(tree, path):
            continue
        if not any(tree.is_same(f"{path}/store", f"{other}/store") for other in seen):
            seen.add(path)
            yield FormerStore(path, uninstaller=tree.exists(f"{path}/receipt.json"))
    for line in lines:
        if is_device(line) and not seen & {line.source, "/nix"}:
            seen.add(line.source)
            yield FormerStore("", line.source)


def find_keepers(tree: Tree, stores: Sequence[FormerStore], gone: str) -> tuple[FormerStore, ...]:
    """Return the stores that may have ``gone``, a path below /var/lib/nix that is missing there.

    A store that is not mounted may have any path.
    """
    below = gone.removeprefix(paths.BASE) if gone.startswith(f"{paths.BASE}/") else None
    return tuple(
        store
        for store in stores
        if below is not None
        and (not (place := store.path or store.seen) or tree.exists(f"{place}{below}"))
    )


def is_device(line: Line) -> bool:
    """Return whether a line mounts a file system, a subvolume or an image, not a directory."""
    named = line.source.partition("=")[0] in {"UUID", "LABEL", "PARTUUID", "PARTLABEL"}
    return named or line.source.startswith("/dev/") or "loop" in line.options
