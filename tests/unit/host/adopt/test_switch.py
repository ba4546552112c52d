"""Test the exchange of two stores, with a kill before and after each rename, and a rerun."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.adopt import complete, journal, switch
from nix_aurora_host.adopt.journal import FORMER, Journal, Way, place
from nix_aurora_host.database.schema import read_schema
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import syscalls

from tests.unit.host.adopt.stores import PACKAGED, Stores, listing
from tests.unit.host.nix_database import A, B, C, D

_RENAMES = 9  # renames of a takeover: 4 take their store, and 5 exchange the stores


class KilledError(BaseException):
    """A simulated kill."""


class Killer:
    """Allow a number of renames, and then raise KilledError."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.left = count
        for function in ("exchange", "rename_new"):
            monkeypatch.setattr(syscalls, function, self._wrap(getattr(syscalls, function)))

    def _wrap(self, rename: Callable[[str, str], None]) -> Callable[[str, str], None]:
        def renamed(one: str, other: str) -> None:
            if self.left == 0:
                raise KilledError
            self.left -= 1
            rename(one, other)

        return renamed


def _begin(stores: Stores) -> Journal:
    theirs = journal.inodes(str(stores.theirs.top))
    ours = journal.inodes(paths.HOME)
    found = Journal(Way.MOVE, str(stores.theirs.top), switch.make_closed(), ours, theirs)
    journal.write(found)
    return found


def _run(found: Journal) -> None:
    assert found.theirs is not None
    switch.take(found, found.theirs)
    complete.complete(found)


def _is_open(database: Path) -> bool:
    """Return whether Nix would open the database in a directory."""
    return read_schema(str(database), "schema") is not None


def _check_adopted(stores: Stores) -> None:
    assert {path.name for path in stores.ours.store.iterdir()} == {A, B, C, D}
    assert stores.ours.valid() == {A, B, C, D}
    (aside,) = (path for path in Path(paths.ASIDE).iterdir() if list(path.iterdir()))
    assert {path.name for path in (aside / FORMER / "store").iterdir()} == {PACKAGED}
    assert stores.ours.valid(aside / FORMER / "var/nix/db/db.sqlite") == {PACKAGED}
    assert not os.path.lexists(paths.ADOPTION)
    assert Path(paths.IMPORT_NEEDED).exists()
    assert not (stores.theirs.top / "store").exists()


def test_stores_are_exchanged(stores: Stores) -> None:
    _run(_begin(stores))
    _check_adopted(stores)


@pytest.mark.parametrize("there", [True, False])
def test_socket_is_not_moved(stores: Stores, there: bool) -> None:
    """In a boot, systemd listens on the socket before the stores are exchanged."""
    for nix, name in ((stores.ours, "ours"), (stores.theirs, "theirs")):
        if nix is stores.ours or there:
            (nix.state / "daemon-socket").mkdir(exist_ok=True)
            (nix.state / "daemon-socket" / name).touch()
    _run(_begin(stores))
    assert [path.name for path in (stores.ours.state / "daemon-socket").iterdir()] == ["ours"]
    _check_adopted(stores)


@pytest.mark.parametrize("count", range(_RENAMES + 1))
@pytest.mark.parametrize("again", range(_RENAMES))
def test_killed_switch_is_undone_or_finished(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, count: int, again: int
) -> None:
    """The rerun is killed, too, and then repeated."""
    before = listing(stores.ours.top), listing(stores.theirs.top)
    found = _begin(stores)
    killer = Killer(monkeypatch, count)
    with pytest.raises(KilledError):
        _run(found)
    _check_nothing_is_in_danger(stores, found)
    killer.left = again
    try:
        finished = complete.finish_pending() is not None
        if not finished:
            complete.undo(journal.read())
    except KilledError:
        _check_nothing_is_in_danger(stores, found)
        killer.left = -1
        finished = complete.finish_pending() is not None
        if not finished:
            complete.undo(journal.read())
    if finished:
        _check_adopted(stores)
    else:
        after = listing(stores.ours.top), listing(stores.theirs.top)
        for own in (*after, *before):
            # A new lock is harmless, and so is the file that requests an import.
            for name in ("var/nix/gc.lock", "var/nix/db/big-lock", ".nix-aurora/import-needed"):
                own.pop(name, None)
        assert after == before


def _check_nothing_is_in_danger(stores: Stores, found: Journal) -> None:
    """Fail unless each usable database is beside the store that it describes."""
    for nix in (stores.ours, stores.theirs):
        database = nix.state / "db"
        if database.exists() and _is_open(database):
            known = nix.valid(database / "db.sqlite")
            assert {path.name for path in nix.store.iterdir()} == known
    assert journal.pending() == found.source
    assert stores.ours.store.exists()
    assert stores.ours.state.exists()


def test_files_that_the_other_nix_creates_during_the_switch_are_kept(stores: Stores) -> None:
    """The other Nix's daemon may start during the switch, and create its missing files."""
    found = _begin(stores)
    assert found.theirs is not None
    switch.take(found, found.theirs)
    (stores.theirs.top / "store/.links").mkdir(parents=True)
    (stores.theirs.top / "var/nix/db").mkdir(parents=True)
    complete.undo(journal.read())
    assert stores.theirs.valid() == {A, B, C, D}
    assert {path.name for path in stores.theirs.store.iterdir()} == {A, B, C, D}
    kept = {path.name.split(".")[0] for path in stores.theirs.top.iterdir()}
    assert {"store", "var"} <= kept
    assert len(list(stores.theirs.top.glob("store.*"))) == 1


def test_started_takeover_is_never_undone(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _begin(stores)
    killer = Killer(monkeypatch, 5)
    with pytest.raises(KilledError):
        _run(found)
    killer.left = -1
    with pytest.raises(CommandError, match="are already exchanged"):
        complete.undo(found)
    assert complete.finish_pending() == found
    _check_adopted(stores)


def test_import_ignores_a_takeover_that_has_not_started(stores: Stores) -> None:
    found = _begin(stores)
    assert found.theirs is not None
    switch.take(found, found.theirs)
    assert complete.finish_pending() is None
    assert stores.ours.valid() == {PACKAGED}
    assert journal.pending() == str(stores.theirs.top)


def test_copy_is_removed_and_the_original_is_kept(stores: Stores) -> None:
    journal.write(Journal(Way.COPY, str(stores.theirs.top), switch.make_closed()))
    Path(place(FORMER), "store", A).mkdir(parents=True)
    complete.undo(journal.read())
    assert not os.path.lexists(paths.ADOPTION)
    assert stores.theirs.valid() == {A, B, C, D}


def test_work_directory_without_a_journal_is_cleared(stores: Stores) -> None:
    Path(place("look")).mkdir(parents=True)
    Path(place("look"), "db.sqlite").touch()
    assert journal.pending() is None
    complete.undo(journal.read())
    assert not os.path.lexists(paths.ADOPTION)


def test_remove_closed_keeps_a_real_database(stores: Stores) -> None:
    Path(place("closed")).mkdir(parents=True)
    Path(place("closed"), "db.sqlite").touch()
    switch.remove_closed()
    assert Path(place("closed"), "db.sqlite").exists()


def test_file_system_that_exchanges_names_is_recognized(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert switch.can_exchange()

    def fail(*_: str) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(syscalls, "exchange", fail)
    assert not switch.can_exchange()
    assert list(Path(paths.ADOPTION).iterdir()) == []
