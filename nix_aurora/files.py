"""Create files and directories that appear complete under their final name, or not at all."""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex; read the file in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_tree(path: Path) -> None:
    """Remove a directory, including read-only store paths in it.

    Do nothing if it does not exist.
    """
    if not path.exists():
        return
    # top-down: each directory becomes writable before os.walk enters it
    for folder, _, _ in os.walk(path):
        if not os.access(folder, os.W_OK | os.X_OK):
            Path(folder).chmod(stat.S_IRWXU)
    shutil.rmtree(path)


@contextmanager
def new_file(final: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``final``.

    Rename it to ``final`` on success, else remove it.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp creates files with mode 0600
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_directory(final: Path) -> Iterator[Path]:
    """Yield a temporary directory; it replaces ``final`` on success, and is removed otherwise.

    An earlier ``final`` is removed only after the new one is complete.
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
