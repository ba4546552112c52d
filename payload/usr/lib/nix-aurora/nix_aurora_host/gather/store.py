"""The store: space, import, database, roots, and the default profile."""

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from nix_aurora_host import facts, paths
from nix_aurora_host.facts import Closure, Profile, Store
from nix_aurora_host.gather.roots import gather_roots
from nix_aurora_host.system import link, names, read, resolve, run


def gather_store(closure: Closure) -> Store:
    """Look at the store: a few hundred stats, and two queries."""
    try:
        space = os.statvfs(paths.STORE)
        status = Path(paths.STORE).stat()
    except OSError:
        space, status = os.statvfs("/var"), None
    present = {path for path in closure.paths if os.path.lexists(paths.physical(path))}
    kept = {f"{paths.PREFIX}/{name}" for name in gather_roots().values()} - present
    valid = _find_valid(present | kept)
    content = query("select count(*), coalesce(sum(narSize), 0) from ValidPaths")
    kind = _what_nix_is()
    roots = {name: link(f"{paths.ROOTS}/{name}") or "" for name in names(paths.ROOTS) or ()}
    stamp = read(paths.STAMP)
    reported = read(f"{paths.RUN}/layout") or ""
    return Store(
        layout=layout_of(reported, kind),
        nix=kind,
        free=space.f_bavail * space.f_frsize,
        size=space.f_blocks * space.f_frsize,
        exists=status is not None,
        read_only=kind == facts.OURS and bool(os.statvfs(paths.AT).f_flag & os.ST_RDONLY),
        noexec=_noexec(kind),
        listable=os.access(paths.STORE, os.R_OK | os.X_OK),
        group=_group(status),
        stamp=stamp.strip() if stamp is not None else None,
        stamp_read=stamp is not None or _may_look_into(paths.OWN),
        database=os.path.lexists(paths.DATABASE),
        valid_paths=content[0][0] if content else None,
        content=content[0][1] if content else None,
        missing=tuple(path for path in closure.paths if path not in present),
        unregistered=tuple(sorted(present - valid)) if valid is not None else (),
        lost=tuple(sorted(kept - valid)) if valid is not None else (),
        roots={name: target for name, target in roots.items() if target},
        aside=names(paths.ASIDE),
    )


def gather_profile(closure: Closure, *, ask_version: bool) -> Profile:
    """Look at the default profile, and ask its Nix for its version where that is wanted."""
    shown = resolve(f"{paths.PROFILE}/bin/nix")
    packaged = resolve(f"{closure.nix}/bin/nix")
    owner = owner_of(shown, packaged, resolve(f"{paths.ROOTS}/nix/bin/nix"))
    script = resolve(f"{paths.PROFILE}/etc/profile.d/nix-daemon.sh") is not None
    exists = os.path.lexists(paths.PROFILE)
    version = _version(shown) if shown and ask_version else None
    return Profile(exists, shown, owner, script, version)


def owner_of(shown: str | None, packaged: str | None, rooted: str | None) -> str:
    """Return whose the Nix of the default profile is, from where three names of one lead."""
    if shown is None:
        return "none"
    if shown == packaged:
        return "packaged"
    return "imported" if shown == rooted else "administrator"


def _version(program: str) -> tuple[int, ...] | None:
    """Ask a Nix for its version. It runs from /nix alone: None where that is not the store."""
    return parse_version(run([program.replace(paths.BASE, "/nix", 1), "--version"]).stdout)


def parse_version(text: str) -> tuple[int, ...] | None:
    """Parse "nix (Nix) 2.34.8" to (2, 34, 8); the last word: Determinate's is an upstream's."""
    words = text.split()
    found = re.match(r"[0-9]{1,9}(\.[0-9]{1,9})*", words[-1]) if words else None
    return tuple(map(int, found[0].split("."))) if found else None


def _group(status: os.stat_result | None) -> int | None:
    # In nix-aurora shell every group but the user's own looks like this one.
    unknown = int(read("/proc/sys/kernel/overflowgid") or 65534)
    return None if status is None or status.st_gid == unknown else status.st_gid


def _what_nix_is() -> str:
    nix, base = Path(paths.AT), Path(paths.SHOWN)
    if nix.is_symlink():
        return facts.LINK
    if not nix.is_dir():
        return facts.NOTHING
    if base.is_dir() and nix.samefile(base):
        return facts.OURS
    if nix.is_mount():
        return facts.OTHER_MOUNT
    return facts.OTHER_STORE if names(paths.AT) else facts.DIRECTORY


def layout_of(reported: str, kind: str) -> str:
    """Return the layout that this boot has chosen, or the one that /nix looks like."""
    words = reported.split()
    return (
        words[0] if words else {facts.OURS: "mount", facts.NOTHING: "namespace"}.get(kind, "none")
    )


def _may_look_into(directory: str) -> bool:
    return os.access(directory, os.X_OK) or not os.path.lexists(directory)


def _noexec(kind: str) -> tuple[str, ...]:
    """Return the mount points of the store, and of what shows it, whose programs do not start."""
    places = [paths.STORE, paths.AT] if kind == facts.OURS else [paths.STORE]
    found = []
    for place in places:
        try:
            if not os.statvfs(place).f_flag & os.ST_NOEXEC:
                continue
        except OSError:
            continue
        point = parse_mount_point(read("/proc/self/mountinfo") or "", str(Path(place).resolve()))
        if point not in found:
            found.append(point)
    return tuple(found)


def parse_mount_point(mountinfo: str, path: str) -> str:
    """Return the mount point that ``path`` lies on, from /proc/self/mountinfo."""
    points = ["/"]
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        point = re.sub(
            r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), (fields[4:] or [""])[0]
        )
        if path == point or path.startswith(f"{point}/"):
            points.append(point)
    return max(points, key=len)


def _find_valid(wanted: Collection[str]) -> set[str] | None:
    marks = ",".join("?" * len(wanted))
    rows = query(
        f"select path from ValidPaths where path in ({marks})",  # noqa: S608 - marks
        tuple(wanted),
    )
    return None if rows is None else {path for (path,) in rows}


def query(statement: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]] | None:
    """Ask Nix's database; return the rows, or None where this user cannot read one."""
    import sqlite3  # noqa: PLC0415 - status, doctor and recover alone need it

    if not Path(paths.DATABASE).is_file():
        return None
    # A user may not join a database in WAL mode that nobody has open; nothing changes it then.
    for mode in ("mode=ro", "immutable=1"):
        try:
            connection = sqlite3.connect(f"file:{paths.DATABASE}?{mode}", uri=True, timeout=5)
            try:
                return connection.execute(statement, values).fetchall()
            finally:
                connection.close()
        except sqlite3.Error:
            continue
    return None
