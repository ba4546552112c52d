"""Build the new root directory: a read-only overlay in a small file system, below WORK.

There are two kinds; the first one that this kernel accepts and that is not avoided is used:

overlay: /, and one more layer below it, which has only nix.
binds: a layer with every name of /, and nix; the content of / is bound into it.

Neither has an upper layer, so nobody can make it writable.
"""

import os

from nix_aurora_host import paths
from nix_aurora_host.errors import CommandError
from nix_aurora_host.mounts import Mount
from nix_aurora_host.nix_root import ask, boots, syscalls
from nix_aurora_host.nix_root.labels import copy_label
from nix_aurora_host.nix_root.mountinfo import outermost, topmost
from nix_aurora_host.nix_root.notes import say

WORK = "/run/nix-root"
NEW = f"{WORK}/root"
_LAYER = f"{WORK}/layer"
_EMPTY = f"{WORK}/empty"  # an overlay without an upper layer needs two layers
_HOST = f"{WORK}/host"
_KINDS = ("overlay", "binds")  # in the order in which they are tried


def build(mounts: list[Mount], kernel: str) -> str | None:
    """Build the new root, and return its kind; None if no kind is left to try."""
    _make_work()
    root = topmost(mounts, "/") or Mount("/", "ro", "", "none", "")
    # /usr is bound even if it is not a mount, so that it is not read through another overlay.
    places = outermost({mount.point for mount in mounts} | {"/usr"})
    avoided = boots.read_text(paths.AVOIDED) or ""
    for kind in _KINDS:
        if boots.is_avoided(avoided, kind, kernel):
            say(f"skipping the root directory of kind {kind}: it failed with this kernel")
            continue
        bound = _stack(kind, root, places)
        if bound is not None:
            _carry_over(places, usr_is_mount=topmost(mounts, "/usr") is not None)
            for place in [*bound, *places]:
                _require_same(place)
            return kind
    return None


def _make_work() -> None:
    """Mount a small private file system; its layer has an empty /nix with the store's label."""
    os.makedirs(WORK, exist_ok=True)
    copy_label(paths.RUN, WORK)
    syscalls.mount("nix-aurora", WORK, "tmpfs", 0, "mode=0700,size=1m")
    syscalls.propagate(WORK, syscalls.PRIVATE)
    copy_label("/", WORK)
    for directory in (_LAYER, f"{_LAYER}/nix", _EMPTY, _HOST, NEW):
        os.mkdir(directory)
    copy_label("/usr/bin", f"{_LAYER}/nix")


def _stack(kind: str, root: Mount, places: list[str]) -> list[str] | None:
    """Mount a root of this kind; return what was bound into it, or None if it is refused.

    ``places`` are the directories whose mounts are carried over later.
    """
    if kind == "binds":
        bound = _fill_layer(places)
        _mount(f"{_LAYER}:{_EMPTY}", root)
        for place in bound:
            syscalls.bind(place, f"{NEW}{place}")
        return bound
    try:
        _mount(f"/:{_LAYER}", root)
    except OSError as error:
        say(f"this kernel cannot mount an overlay of /: {error.strerror}")
        return None
    return []


def _mount(layers: str, root: Mount) -> None:
    """Mount an overlay with the source and the flags of the mount on /."""
    flags = syscalls.flags_of(root.flags)
    syscalls.mount(root.source, NEW, "overlay", flags, f"lowerdir={layers}")


def _fill_layer(places: list[str]) -> list[str]:
    """Add every name of / to the layer; return the directories and files to bind."""
    _copy_look("/", _LAYER)
    uncovered, bound = [], []
    for name in sorted(os.listdir("/")):
        path = f"/{name}"
        if os.path.islink(path):
            os.symlink(os.readlink(path), f"{_LAYER}{path}")
            copy_label(path, f"{_LAYER}{path}")
        elif not os.path.isdir(path):
            os.close(os.open(f"{_LAYER}{path}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            bound.append(path)
        else:
            os.mkdir(f"{_LAYER}{path}")
            if path not in places:
                uncovered.append(path)
    filled = [path for path in uncovered if os.listdir(path)]
    mounted_later = _find_mount_points(filled)
    for path in uncovered:
        if path in filled and path not in mounted_later:
            bound.append(path)
        else:
            _copy_look(path, f"{_LAYER}{path}")
    return bound


def _find_mount_points(directories: list[str]) -> set[str]:
    """Return the directories on which systemd mounts something, in this boot or later.

    systemd would take a bind there for its mount.
    """
    if not directories:
        return set()
    places = {ask.unit_name(path, ".mount"): path for path in directories}
    places |= {ask.unit_name(path, ".automount"): path for path in directories}
    states = ask.ask_units(list(places), "LoadState")
    found = zip(places.values(), states, strict=True)
    return {path for path, state in found if state["LoadState"] == "loaded"}


def _copy_look(source: str, target: str) -> None:
    """Copy the owner, the mode and the label of one directory to another."""
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, status.st_mode & 0o7777)
    copy_label(source, target)


def _carry_over(places: list[str], *, usr_is_mount: bool) -> None:
    """Bind the host's mounts into the new root."""
    syscalls.propagate(WORK, syscalls.UNBINDABLE)  # so that the bind of /run omits it
    if usr_is_mount:
        # Bind the host's own /usr below the mounts on it: a system extension may be removed again.
        syscalls.bind("/", _HOST)
        syscalls.bind(f"{_HOST}/usr", f"{NEW}/usr")
    for place in places:
        syscalls.bind(place, f"{NEW}{place}", recursive=True)


def _require_same(place: str) -> None:
    """Raise CommandError unless the new root shows the same as the host at ``place``."""
    if not os.path.samestat(os.stat(place), os.stat(f"{NEW}{place}")):
        raise CommandError(
            f"cannot bind {place} into the new root: expected the same directory, got another"
        )
