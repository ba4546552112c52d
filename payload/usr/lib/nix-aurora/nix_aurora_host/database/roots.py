"""The garbage collector's roots: the links that keep store paths."""

import os
from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.database.rows import STORE_NAME
from nix_aurora_host.system import link


def gather_roots() -> dict[str, str]:
    """Return each link that is a root, with the name of the store path that it keeps.

    The rules are the collector's: links below gcroots and profiles, directly or through one more
    link (gcroots/auto), whose target is on disk. Links that this user may not read are left out,
    and also those whose target does not have a store path's name: any user can make a root that
    leads anywhere.
    """
    return dict(_roots())


def _roots() -> Iterator[tuple[str, str]]:
    for top in (f"{paths.STATE}/gcroots", f"{paths.STATE}/profiles"):
        for directory, directories, files in os.walk(top):
            for name in (*directories, *files):
                path = f"{directory}/{name}"
                kept = _kept_by(path)
                if kept is not None and os.path.lexists(f"{paths.STORE}/{kept}"):
                    yield path, kept


def _kept_by(path: str) -> str | None:
    target = _follow(path)
    if target is None:
        return None
    return _name(target) or _name(_follow(target) or "")


def _follow(path: str) -> str | None:
    """Return the target of a link, below /var/lib/nix for targets that programs see elsewhere."""
    target = link(path)
    if target is None:
        return None
    whole = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120
    return paths.physical(whole)


def _name(path: str) -> str | None:
    inside = path.removeprefix(f"{paths.STORE}/")
    name = inside.split("/", 1)[0]
    return name if inside != path and STORE_NAME.fullmatch(name) else None
