"""Where the links of a store lead. rpmbuild looks at each, and fails at some that lead nowhere.

A missing target is no fault, and ``/nix/store/…`` is taken for the store at hand: neither what a
build machine has there nor how rpmbuild names it may make a difference.
"""

from collections.abc import Container, Mapping

from nix_aurora.store.reginfo import STORE

_MAX_LINKS = 40  # Linux follows no more: path_resolution(7)
_MAX_COMPONENT = 255  # bytes


def fault(name: str, links: Mapping[str, str], files: Container[str]) -> str | None:
    """Return what is wrong with the link ``name``: ``expected X, got Y``; None if nothing is.

    ``links`` has the target of each link of the store, ``files`` the names of its regular files.
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
