"""Resolve the links of a store, on disk and before they are written.

``/nix/store/…`` always means the store at hand, never the one of the build machine.
"""

import os
import stat
from collections.abc import Container, Mapping
from pathlib import Path

from nix_aurora.errors import VerificationError
from nix_aurora.store.paths import STORE, base_name
from nix_aurora.text import printable

_MAX_LINKS = 40  # Linux follows at most 40: path_resolution(7)
_MAX_COMPONENT = 255  # bytes
_LONGEST = 1000  # characters of a quoted text, which may be several store paths


def fault(name: str, links: Mapping[str, str], files: Container[str]) -> str | None:
    """Return why rpmbuild fails at the link ``name``: ``expected X, got Y``; None if it does not.

    rpmbuild looks at each link's target, and accepts a missing target. ``links`` has the target of
    each link of the store, ``files`` the names of its regular files.
    """
    pending = name.split("/")[::-1]
    here: list[str] = []
    followed = 0
    while pending:
        component = pending.pop()
        place = "/".join((*here, component))
        if "/".join(here) in files:
            return "expected a link that can be followed, got one through a file"
        if len(component.encode("utf-8", "surrogateescape")) > _MAX_COMPONENT:
            return (
                f"expected a link target's components of at most {_MAX_COMPONENT} bytes, got more"
            )
        if component == "..":
            del here[-1:]
        elif place in links:
            followed += 1
            if followed > _MAX_LINKS:
                return f"expected at most {_MAX_LINKS} links one after another, got a loop"
            target = links[place]
            if target.startswith("/"):
                here, target = [], target.removeprefix(STORE)
            pending += target.split("/")[::-1]
        elif component not in {"", "."}:
            here.append(component)
    return None


def resolve(store: Path, path: str) -> Path:
    """Follow ``path`` (below /nix/store), with all links, to its target in the unpacked ``store``.

    Links to /nix/store/… are followed inside ``store``. Raises VerificationError if one leads out
    of it, to a missing file, or in a circle.
    """
    pending = base_name(path).split("/")[::-1]
    done: list[str] = []
    links = 0
    while pending:
        component = pending.pop()
        if component in {"", "."}:
            continue
        if component == "..":
            if not done:
                raise _fault(path, f"expected a file in {STORE}", "a link that leads out of it")
            done.pop()
            continue
        here = store.joinpath(*done, component)
        try:
            is_link = stat.S_ISLNK(here.lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _fault(path, "expected a file", "nothing, or a link to nothing") from error
        if not is_link:
            done.append(component)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise _fault(path, f"expected at most {_MAX_LINKS} links on the way", "a loop")
        target = os.readlink(here)  # noqa: PTH115 - Path drops what is to be resolved here
        if target.startswith("/"):
            if not target.startswith(STORE + "/"):
                raise _fault(path, f"expected a file in {STORE}", f"a link to {target}")
            target = base_name(target)
            done = []
        pending += target.split("/")[::-1]
    return store.joinpath(*done)


def _fault(subject: str, expected: str, got: str) -> VerificationError:
    where = f"cannot look up a store path: {printable(subject)}"
    return VerificationError(f"{where}: {expected}, got {printable(got, _LONGEST)}")
