"""Provide two stores for the tests in this directory."""

from pathlib import Path

import pytest

from tests.unit.host.adopt.stores import Stores


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """Return this host's store and another Nix's."""
    return Stores(tmp_path, monkeypatch)
