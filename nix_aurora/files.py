"""Files and directories that appear whole under their final name, or not at all."""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_tree(path: Path) -> None:
    """Remove a directory, read-only store paths in it included. What is not there is no fault."""
    if not path.exists():
        return
    for folder, _, _ in os.walk(path):  # top-down: a directory is opened up before it is entered
        if not os.access(folder, os.W_OK | os.X_OK):
            Path(folder).chmod(stat.S_IRWXU)
    shutil.rmtree(path)


@contextmanager
def new_file(final: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``final``; on success it is renamed to it, else removed."""
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp gives 0600
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_directory(final: Path) -> Iterator[Path]:
    """Yield a temporary directory beside ``final``; on success it takes its place, else it goes.

    A former ``final`` is removed only once the new one is complete.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
    temporary.chmod(0o755)
    try:
        yield temporary
        if final.exists():
            former = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.")) / "former"
            final.rename(former)
            temporary.rename(final)
            remove_tree(former.parent)
        else:
            temporary.rename(final)
    finally:
        remove_tree(temporary)
