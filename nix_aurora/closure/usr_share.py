"""Nix's files for the host's /usr/share: man pages, and completions for the shells.

They are in the store, where neither `man` nor a shell looks: the manual is a store path of its own,
in no profile; zsh does not use XDG_DATA_DIRS; and in the namespace layout the host sees no store.
"""

import re
import shutil
from pathlib import Path

from nix_aurora.closure.proof import Closure
from nix_aurora.errors import VerificationError
from nix_aurora.store import links

_PLACES = (
    *("man/man1", "man/man5", "man/man7", "man/man8"),
    *("bash-completion/completions", "zsh/site-functions", "fish/vendor_completions.d"),
)
_NAME = re.compile(r"[0-9A-Za-z._+-]*nix[0-9A-Za-z._+-]*")  # no other package has such names


def copy_usr_share(closure: Closure, store: Path, destination: Path) -> None:
    """Copy the files from the unpacked ``store`` into the new directory ``destination``.

    Links are resolved. Files that the closure does not have are left out.
    """
    destination.mkdir()
    for path in filter(None, (closure.nix, closure.manual)):
        for place in _PLACES:
            folder = _find(store, f"{path}/share/{place}")
            if folder is None or not folder.is_dir():
                continue
            for name in sorted(filter(_NAME.fullmatch, (entry.name for entry in folder.iterdir()))):
                source = _find(store, f"{path}/share/{place}/{name}")
                if source is not None and source.is_file():
                    target = destination / place / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target)


def _find(store: Path, path: str) -> Path | None:
    try:
        return links.resolve(store, path)
    except VerificationError:  # the closure has no such file
        return None
