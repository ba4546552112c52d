"""Test the journal from which a takeover continues after a kill."""

from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.adopt import journal
from nix_aurora_host.adopt.journal import Inodes, Journal, Way
from nix_aurora_host.errors import CommandError

from tests.unit.host.adopt.stores import Stores


def test_journal_is_read_as_written(stores: Stores) -> None:
    for found in (
        Journal(Way.MERGE, "/somewhere"),
        Journal(Way.MOVE, "/a b", 3, Inodes(4, 5, 6, 7), Inodes(8, 9, 10)),
    ):
        journal.write(found)
        assert journal.read() == found
        assert journal.pending() == found.source
    assert Path(journal.place("journal")).stat().st_mode & 0o777 == 0o600
    assert Path(paths.ADOPTION).stat().st_mode & 0o777 == 0o700
    journal.remove()
    assert journal.read() is None
    assert journal.pending() is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"way": "teleport"}', "\x00"])
def test_damaged_journal_is_named(stores: Stores, text: str) -> None:
    Path(paths.ADOPTION).mkdir()
    Path(journal.place("journal")).write_text(text)
    with pytest.raises(CommandError, match=r"cannot read .*journal"):
        journal.read()


def test_host_without_a_store_has_no_pending_takeover(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "OWN", str(stores.top / "missing"))
    assert journal.pending() is None
