"""Two stores change places: in steps each of which is one rename, and that can be repeated.

The database comes first. In its place lies a directory whose schema is no number: no Nix opens a
database there, so none takes for garbage what the other store's database knows. Every step looks
at the inode numbers first, and does nothing where it was done before.
"""

import os
from contextlib import suppress

from nix_aurora_host import disk, paths
from nix_aurora_host.adopt.journal import FORMER, SOCKETS, Inodes, Journal, inode, place
from nix_aurora_host.database import files
from nix_aurora_host.importer import syscalls
from nix_aurora_host.importer.place import set_aside

DB = "var/nix/db"
_CLOSED = "closed"
_CLOSED_FILES = ("schema", "schema.new", "big-lock")  # the last is of a Nix that tried to open it
_REFUSAL = "nix-aurora adopt has not ended\n"
_MODE = 0o1775  # of a store: build users make what they build there


def make_closed() -> int:
    """Make the directory that takes a database's place; return its inode number."""
    path = place(_CLOSED)
    os.makedirs(path, mode=0o755, exist_ok=True)
    files.write(f"{path}/schema", _REFUSAL)
    return os.lstat(path).st_ino


def remove_closed() -> None:
    """Remove that directory, unless it has anything else than it was made with."""
    path = place(_CLOSED)
    if os.path.lexists(path) and set(os.listdir(path)) <= set(_CLOSED_FILES):
        for name in _CLOSED_FILES:
            with suppress(FileNotFoundError):
                os.unlink(f"{path}/{name}")
        os.rmdir(path)


def can_exchange() -> bool:
    """Return whether the file system exchanges two names in one step."""
    names = place("one"), place("other")
    for name in names:
        os.makedirs(name, exist_ok=True)
    try:
        syscalls.exchange(*names)
    except OSError:
        return False
    finally:
        for name in names:
            os.rmdir(name)
    return True


# --- theirs comes into the work directory, and goes back


def take(journal: Journal, theirs: Inodes) -> None:
    """Move the other store into the work directory."""
    os.makedirs(place(FORMER), mode=0o700, exist_ok=True)
    source, new = journal.source, place(FORMER)
    if inode(f"{source}/{DB}") == theirs.db:
        _exchange(f"{source}/{DB}", place(_CLOSED))
    for name, number in (("store", theirs.store), ("var", theirs.var)):
        if inode(f"{source}/{name}") == number:
            _rename(f"{source}/{name}", f"{new}/{name}")
    if inode(f"{new}/{DB}") == journal.closed:
        _exchange(f"{new}/{DB}", place(_CLOSED))


def give_back(journal: Journal, theirs: Inodes) -> None:
    """Undo what take() has done, from wherever it came to."""
    source, new = journal.source, place(FORMER)
    if inode(f"{new}/{DB}") == theirs.db:
        _exchange(f"{new}/{DB}", place(_CLOSED))
    for name, number in (("var", theirs.var), ("store", theirs.store)):
        if inode(f"{new}/{name}") == number:
            if os.path.lexists(f"{source}/{name}"):  # their Nix has begun a new one meanwhile
                os.rename(f"{source}/{name}", f"{source}/{name}.{os.urandom(6).hex()}")
            _rename(f"{new}/{name}", f"{source}/{name}")
    if inode(f"{source}/{DB}") == journal.closed:
        _exchange(f"{source}/{DB}", place(_CLOSED))


# --- ours and theirs change places


def is_begun(journal: Journal, ours: Inodes) -> bool:
    """Return whether the stores are changing places, so that no Nix can use either."""
    closed = inode(paths.DATABASE_DIRECTORY) == journal.closed
    return closed or inode(paths.STORE) != ours.store


def switch(journal: Journal, ours: Inodes) -> None:
    """Have the store in the work directory and the host's own change places."""
    new = place(FORMER)
    if inode(f"{new}/store") not in {None, ours.store}:
        _fit(f"{new}/store", journal)
    # The next boot has an import finish what is killed from here on.
    files.write(paths.IMPORT_NEEDED, "")
    if inode(paths.DATABASE_DIRECTORY) == ours.db:
        _exchange(paths.DATABASE_DIRECTORY, place(_CLOSED))
    if inode(paths.STORE) == ours.store:
        _exchange(paths.STORE, f"{new}/store")
    if inode(f"{paths.HOME}/var") == ours.var:
        _exchange(f"{paths.HOME}/var", f"{new}/var")
    if inode(f"{new}/{SOCKETS}") == ours.socket:
        # In a boot, systemd listens already: its socket comes back to its name.
        os.makedirs(f"{paths.HOME}/{SOCKETS}", exist_ok=True)
        _exchange(f"{paths.HOME}/{SOCKETS}", f"{new}/{SOCKETS}")
    if inode(f"{new}/{DB}") == journal.closed:
        _exchange(f"{new}/{DB}", place(_CLOSED))


def keep_former() -> None:
    """Move the host's former store aside, whole."""
    if os.path.lexists(place(FORMER)):
        set_aside(place(FORMER))
    disk.sync(paths.ADOPTION)


def _fit(path: str, journal: Journal) -> None:
    """Set a store's group to that of this host's build users: another Nix has another number."""
    number = inode(path)
    if journal.theirs is not None and number == journal.theirs.store:
        os.chown(path, 0, os.stat(paths.STORE).st_gid)
        os.chmod(path, _MODE)


def _rename(old: str, new: str) -> None:
    syscalls.rename_new(old, new)
    _sync(old, new)


def _exchange(one: str, other: str) -> None:
    syscalls.exchange(one, other)
    _sync(one, other)


def _sync(one: str, other: str) -> None:
    for path in {os.path.dirname(one), os.path.dirname(other)}:
        disk.sync(path)
