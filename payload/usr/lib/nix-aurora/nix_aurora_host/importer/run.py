"""The steps of an import, in their order."""

import os
import time
from contextlib import ExitStack

from nix_aurora_host import paths
from nix_aurora_host.importer import database, missing, nix, roots, state, syscalls
from nix_aurora_host.importer.closure import Closure
from nix_aurora_host.importer.locks import collector_lock, import_lock
from nix_aurora_host.importer.place import place
from nix_aurora_host.importer.say import say
from nix_aurora_host.importer.stage import remove, stage, staged
from nix_aurora_host.importer.workers import Task


def run(closure: Closure) -> None:
    """Import the closure if necessary; raise CommandError or OSError."""
    _make_own()
    with import_lock():
        # an earlier package, or the run that we waited for, has imported it
        if state.is_imported(closure):
            if not os.path.lexists(state.stamp(closure)):
                remove(paths.WORK)
                state.adopt(closure)
            return
        began = time.monotonic()
        try:
            count = _import(closure)
        except BaseException:
            remove(paths.WORK)
            raise
        took = (time.monotonic() - began) * 1000
        say(
            f"imported Nix {closure.version}: {count} of {len(closure.paths)} store paths "
            f"were missing; {took:.0f} ms"
        )


def _make_own() -> None:
    """Make our directory private: a user who can open a lock can also hold it."""
    os.makedirs(paths.OWN, mode=0o700, exist_ok=True)
    os.chmod(paths.OWN, 0o700)
    if os.path.isfile(paths.IMPORT_LOCK):
        os.chmod(paths.IMPORT_LOCK, 0o600)


def _import(closure: Closure) -> int:
    """Import what is missing; return the number of paths."""
    _make_work()
    with ExitStack() as database_lock:
        registered = database.read(closure)
        lost = registered is None
        if lost:
            database.lock_lost(database_lock)
        corrupt = missing.find_corrupt(closure, registered or {})
        wanted = corrupt | missing.find_missing(closure, registered or {})
        while True:
            stage(closure, wanted)
            task = Task((lambda: database.make(closure)) if lost else (lambda: None))
            try:
                syscalls.sync(paths.WORK)
                roots.make_roots(closure)
            finally:
                task.wait()
            with collector_lock():
                # A collection may have run in between.
                if not lost:
                    wanted = corrupt | missing.find_missing(
                        closure, missing.read_registered(closure.paths)
                    )
                if all(os.path.lexists(staged(name)) for name in wanted):
                    _finish(closure, wanted, database_lock, lost=lost)
                    return len(wanted)


def _finish(closure: Closure, wanted: set[str], database_lock: ExitStack, *, lost: bool) -> None:
    """Make the staged paths part of the store; the caller holds the collector lock."""
    state.forget()
    place(closure, wanted)
    syscalls.sync(paths.STORE)
    if lost:  # a new database already has its records
        database.take_place()
        database_lock.close()
    else:
        nix.load(closure, wanted)
    if paths.RELOCATED:
        from nix_aurora_host.importer.relocated import describe  # noqa: PLC0415 - one layout's

        os.makedirs(paths.DESCRIBED, exist_ok=True)
        describe(closure, paths.PREFIX, paths.DESCRIBED)
    else:
        from nix_aurora_host.importer.profile import update_profile  # noqa: PLC0415 - one layout's

        update_profile(closure)
    roots.add_roots()
    cleaning = Task(lambda: remove(paths.WORK))
    try:
        state.prepare(closure)
        syscalls.sync(paths.HOME)
    finally:
        cleaning.wait()
    state.remember(closure)


def _make_work() -> None:
    """Make an empty work directory, after removing that of a killed run."""
    remove(paths.WORK)
    for directory in ("store", "roots", "home"):
        os.makedirs(f"{paths.WORK}/{directory}")
    for path in (paths.ROOTS, os.path.dirname(paths.PROFILE)):
        os.makedirs(path, exist_ok=True)
    _take_label()


def _take_label() -> None:
    """Set the SELinux type of the store on the directory in which store paths are made.

    New files get the type of their directory, so nothing needs to be labeled afterwards.
    """
    if not os.path.exists("/sys/fs/selinux/enforce"):
        return
    attribute = "security.selinux"
    try:
        os.setxattr(f"{paths.WORK}/store", attribute, os.getxattr(paths.STORE, attribute))
    except OSError as error:
        message = f"cannot label {paths.WORK}/store like {paths.STORE}: {error.strerror}"
        say(message, "sudo nix-aurora relabel")
