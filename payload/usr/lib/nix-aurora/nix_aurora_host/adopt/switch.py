"""Exchange two stores: in steps of one rename each, which can be repeated.

The database is first. It is replaced by a directory whose schema is not a number, so no Nix opens a
database there, and none takes paths for garbage that only the other store's database knows. Every
step checks the inode numbers first, and does nothing if it was done before.
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
# a Nix that tried to open the database leaves the last file
_CLOSED_FILES = ("schema", "schema.new", "big-lock")
_REFUSAL = "nix-aurora adopt has not ended\n"
_MODE = 0o1775  # of a store, in which build users create their outputs


def make_closed() -> int:
    """Make the directory that replaces a database; return its inode number."""
    path = place(_CLOSED)
    os.makedirs(path, mode=0o755, exist_ok=True)
    files.write(f"{path}/schema", _REFUSAL)
    return os.lstat(path).st_ino


def remove_closed() -> None:
    """Remove that directory, unless it has files that it was not made with."""
    path = place(_CLOSED)
    if os.path.lexists(path) and set(os.listdir(path)) <= set(_CLOSED_FILES):
        for name in _CLOSED_FILES:
            with suppress(FileNotFoundError):
                os.unlink(f"{path}/{name}")
        os.rmdir(path)


def can_exchange() -> bool:
    """Return whether the file system can exchange two names in one step."""
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


# --- moving the other store into the work directory, and back


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
    """Undo take(), from any point that it reached."""
    source, new = journal.source, place(FORMER)
    if inode(f"{new}/{DB}") == theirs.db:
        _exchange(f"{new}/{DB}", place(_CLOSED))
    for name, number in (("var", theirs.var), ("store", theirs.store)):
        if inode(f"{new}/{name}") == number:
            if os.path.lexists(f"{source}/{name}"):  # the other Nix has created a new one meanwhile
                os.rename(f"{source}/{name}", f"{source}/{name}.{os.urandom(6).hex()}")
            _rename(f"{new}/{name}", f"{source}/{name}")
    if inode(f"{source}/{DB}") == journal.closed:
        _exchange(f"{source}/{DB}", place(_CLOSED))


# --- exchanging the stores


def is_begun(journal: Journal, ours: Inodes) -> bool:
    """Return whether the stores are changing places, so that no Nix can use either."""
    closed = inode(paths.DATABASE_DIRECTORY) == journal.closed
    return closed or inode(paths.STORE) != ours.store


def switch(journal: Journal, ours: Inodes) -> None:
    """Exchange the store in the work directory and the host's own."""
    new = place(FORMER)
    if inode(f"{new}/store") not in {None, ours.store}:
        _fit(f"{new}/store", journal)
    # If this run is killed after this point, the import of the next boot finishes it.
    files.write(paths.IMPORT_NEEDED, "")
    if inode(paths.DATABASE_DIRECTORY) == ours.db:
        _exchange(paths.DATABASE_DIRECTORY, place(_CLOSED))
    if inode(paths.STORE) == ours.store:
        _exchange(paths.STORE, f"{new}/store")
    if inode(f"{paths.HOME}/var") == ours.var:
        _exchange(f"{paths.HOME}/var", f"{new}/var")
    if inode(f"{new}/{SOCKETS}") == ours.socket:
        # In a boot, systemd is already listening, so its socket gets its name back.
        os.makedirs(f"{paths.HOME}/{SOCKETS}", exist_ok=True)
        _exchange(f"{paths.HOME}/{SOCKETS}", f"{new}/{SOCKETS}")
    if inode(f"{new}/{DB}") == journal.closed:
        _exchange(f"{new}/{DB}", place(_CLOSED))


def keep_former() -> None:
    """Move the host's former store aside, as a whole."""
    if os.path.lexists(place(FORMER)):
        set_aside(place(FORMER))
    disk.sync(paths.ADOPTION)


def _fit(path: str, journal: Journal) -> None:
    """Set a store's group to that of this host's build users, whose number may differ."""
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
