"""Write what a Nix with another store prefix needs to know of the closure.

``closure`` is for /usr/libexec/nix-aurora/relocated: the program, its loader and its libraries, as
shell variables. ``nix.conf`` is for Nix: first the settings that this layout needs, then the
administrator's. ``default`` shows nix-setup.service that both exist.
"""

import os
import shlex

from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer.closure import REINSTALL, Closure

# No public cache has a store with another prefix than /nix/store. A remote builder has no such
# store either, so nothing is built elsewhere. Profiles are in a place that no other layout uses.
_SETTINGS = """# Written by nix-aurora for a store of its own: your settings are in /etc/nix.
substituters =
build-hook =
sandbox-paths = /bin/sh={shell}
use-xdg-base-directories = true
netrc-file = /etc/nix/netrc
!include /etc/nix/nix.conf
"""


def describe(closure: Closure, store: str, directory: str) -> None:
    """Write the description into ``directory``; the closure's paths are in ``store``."""
    parts = find_parts(closure, store)
    settings = _SETTINGS.format(shell=parts.pop("shell"))
    write(f"{directory}/nix.conf", settings)
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in parts.items()]
    write(f"{directory}/closure", "".join(lines))
    if not os.path.islink(f"{directory}/default"):
        os.symlink("closure", f"{directory}/default")


def find_parts(closure: Closure, store: str) -> dict[str, str]:
    """Find programs and libraries of the closure; raise CommandError if one is missing.

    Links in the closure lead to /nix/store, which does not exist: only files count.
    """
    found = {"program": "", "loader": "", "shell": ""}
    libraries = []
    for name in sorted(closure.paths):
        path = f"{store}/{name}"
        for part, file in (("program", "bin/nix"), ("shell", "bin/busybox")):
            if _is_file(f"{path}/{file}"):
                found[part] = f"{path}/{file}"
        for file in _list(f"{path}/lib"):
            if ".so" not in file or not _is_file(f"{path}/lib/{file}"):
                continue
            if file.startswith("ld-linux-"):
                found["loader"] = f"{path}/lib/{file}"
            elif f"{path}/lib" not in libraries:
                libraries.append(f"{path}/lib")
    if absent := [part for part, path in found.items() if not path]:
        raise CommandError(
            "cannot describe the closure: expected bin/nix, bin/busybox and lib/ld-linux-*.so, "
            f"got no {' and no '.join(absent)}",
            REINSTALL,
        )
    return {
        **found,
        "nix": f"{store}/{closure.nix}",
        "libraries": ":".join(libraries),
        "cacert": f"{store}/{closure.cacert}",
    }


def _is_file(path: str) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)


def _list(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []


def write(path: str, text: str) -> None:
    """Write a file that everybody may read; it gets its final name once it is on the disk."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{path}.new", path)
