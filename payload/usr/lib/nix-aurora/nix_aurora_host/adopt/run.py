"""The steps of a takeover, in their order."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nix_aurora_host import paths
from nix_aurora_host import replace as edit
from nix_aurora_host.adopt import (
    checks,
    copy,
    fstab,
    journal,
    leftovers,
    merge,
    switch,
    tree,
    units,
)
from nix_aurora_host.adopt.complete import complete, finish_pending, label, remove_work, undo
from nix_aurora_host.adopt.find import Candidate
from nix_aurora_host.adopt.journal import FORMER, Journal, Way, place
from nix_aurora_host.adopt.look import find_nix
from nix_aurora_host.adopt.plan import Plan, look_again, make_plan
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import clone, syscalls
from nix_aurora_host.importer.locks import import_lock
from nix_aurora_host.system import run

_IMPORT = "/usr/libexec/nix-aurora/import"
_SYSTEMD = "/run/systemd/system"
_STARTED = frozenset({paths.SOCKET, paths.BACKUP_TIMER})
# These belong to processes that have ended, or are copied in another way.
_LEFT = ("nix/db", "nix/temproots", "nix/builds", "nix/gc-socket", "nix/daemon-socket")


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a takeover; ``kept`` are profiles and roots of theirs that were not copied.

    ``left_out`` are files that were not copied. ``lasting`` is whether ``source`` is a path.
    """

    way: Way
    source: str
    paths: int = 0
    links: int = 0
    kept: Sequence[str] = ()
    left_out: Sequence[str] = ()
    lasting: bool = True


def resume() -> Done | None:
    """Finish or undo a killed takeover; return its result if it was finished."""
    if not os.path.lexists(paths.ADOPTION):
        return None
    with import_lock():
        found = journal.read()
        finished = finish_pending()
        if finished is None:
            undo(found)  # without a journal, only leftovers of an inspection exist
    if finished is not None:
        import_package()
    if found is not None:
        units.start(_STARTED)
    return None if finished is None else Done(finished.way, finished.source)


def look(directory: str | None) -> Plan:
    """Return the plan; remove everything that the inspection created."""
    with import_lock():
        try:
            return make_plan(directory)
        finally:
            remove_work()


def execute(plan: Plan, *, check: bool) -> Done:
    """Take a store over; raise CommandError, and then nothing was changed."""
    directory = plan.former.directory
    checks.check_unused(directory)
    active = units.stop()
    try:
        with checks.locked(paths.STATE, f"{directory}/var/nix"):
            checks.check_unused(directory)
            candidate = Candidate(directory, plan.name, plan.line, plan.lasting)
            done = _take_over(look_again(candidate, directory), check=check)
    except BaseException:
        if not _is_pending():
            units.start(active)
        raise
    try:
        if done.way is not Way.MOUNT:
            import_package()
    finally:  # if the import fails, the former Nix continues
        units.start(active | _STARTED)
    if done.way is not Way.MOUNT:
        run(["systemctl", "--quiet", "start", "--no-block", paths.BACKUP])
    return done


def _is_pending() -> bool:
    """Return whether the stores are changing places, so that nothing may be started."""
    found = journal.read()
    return found is not None and found.ours is not None and switch.is_begun(found, found.ours)


def _take_over(plan: Plan, *, check: bool) -> Done:
    try:
        done = _WAYS[plan.way](plan, check)
    except BaseException:
        if not _is_pending():
            undo(journal.read())
        raise
    if not _is_pending():
        undo(journal.read())  # only the work directory remains
    return done


def _move(plan: Plan, check: bool) -> Done:
    if check:
        checks.check_content_of(plan.former)
    directory = plan.former.directory
    theirs = journal.inodes(directory)
    found = Journal(Way.MOVE, directory, switch.make_closed(), journal.inodes(paths.HOME), theirs)
    journal.write(found)
    switch.take(found, theirs)
    _prepare(place(FORMER))
    complete(found)
    return Done(Way.MOVE, directory, len(plan.former.rows))


def _copy(plan: Plan, check: bool) -> Done:
    directory = plan.former.directory
    found = Journal(Way.COPY, plan.source, switch.make_closed(), journal.inodes(paths.HOME))
    journal.write(found)
    new = place(FORMER)
    os.makedirs(f"{new}/store")
    copy.copy_paths(plan.former.store, f"{new}/store", plan.copied, linked=True, check=check)
    left_out = tree.copy(f"{directory}/var", f"{new}/var", lambda path: path.startswith(_LEFT))
    _copy_database(f"{new}/{switch.DB}")
    _prepare(new)
    syscalls.sync(new)
    found = replace(found, theirs=journal.inodes(new))
    journal.write(found)
    complete(found)
    return Done(Way.COPY, plan.source, len(plan.copied), left_out=left_out, lasting=plan.lasting)


def _copy_database(target: str) -> None:
    """Copy the snapshot, which includes the original's write-ahead log."""
    os.makedirs(target, mode=0o755)
    with os.scandir(place("look")) as entries:
        for entry in entries:
            clone.clone_file(entry.path, f"{target}/{entry.name}")
            os.chmod(f"{target}/{entry.name}", 0o644)  # the mode that Nix sets


def _prepare(new: str) -> None:
    """Make the import replace the Nix in the former default profile: root it as ours."""
    if (nix := find_nix(new)) is None:
        return
    roots = f"{new}/var/nix/gcroots/nix-aurora"
    os.makedirs(roots, mode=0o755, exist_ok=True)
    if not os.path.lexists(f"{roots}/nix"):
        os.symlink(nix, f"{roots}/nix")


def _merge(plan: Plan, check: bool) -> Done:
    former = plan.former
    journal.write(Journal(Way.MERGE, plan.source))
    copies = place(f"{FORMER}/store")
    os.makedirs(copies)
    copy.copy_paths(former.store, copies, plan.copied, linked=False, check=check)
    syscalls.sync(copies)
    merge.place_paths(copies, plan.copied)
    syscalls.sync(paths.STORE)
    names = {row.name for row in plan.copied}
    added = merge.register(f"{place('look')}/db.sqlite", names)
    links, kept = merge.merge_links(f"{former.directory}/var/nix")
    syscalls.sync(paths.HOME)
    label()
    return Done(Way.MERGE, plan.source, len(added), links, kept, lasting=plan.lasting)


def _mount(plan: Plan, check: bool) -> Done:
    if check:
        checks.check_content_of(plan.former)
    directory = plan.former.directory
    if not os.statvfs(directory).f_flag & os.ST_RDONLY:
        _prepare(directory)
    if (line := plan.line) is None:
        raise ValueError("expected a file system to mount, got none")
    edit.edit(fstab.FILE, lambda text: fstab.move_line(text, line))
    leftovers.put_receipt_aside(directory)
    # systemd must not load the line before the boot: the daemon's socket would have it mounted now,
    # without an import, and as read-only as this process mounted it for the inspection.
    return Done(Way.MOUNT, plan.source, len(plan.former.rows))


_WAYS = {Way.MOVE: _move, Way.COPY: _copy, Way.MERGE: _merge, Way.MOUNT: _mount}


def import_package() -> None:
    """Import the packaged Nix into the current store: through systemd if that is running."""
    command = [_IMPORT]
    if os.path.isdir(_SYSTEMD):
        command = ["systemctl", "restart", paths.SETUP]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise CommandError(
            f"cannot import the packaged Nix: {paths.SETUP} failed; the store was adopted",
            f"journalctl -u {paths.SETUP}",
        )
