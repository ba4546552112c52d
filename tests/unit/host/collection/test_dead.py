"""Test the estimate of what a collection would free, from the database alone."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from nix_aurora_host.collection import dead
from nix_aurora_host.collection.dead import Dead

from tests.unit.host.nix_database import A, B, C, D, Nix, make_nix

_LATER = time.monotonic() + 3600


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    """Return a store where B refers to A, and C is the derivation that built D."""
    nix = make_nix(tmp_path / "nix", monkeypatch)
    for path_name in (A, B, C, D):
        nix.add(path_name)
    nix.make_database([A, B, C, D], [(B, A), (C, C)])
    nix.run("update ValidPaths set narSize = 1000")
    nix.run("update ValidPaths set deriver = ? where path = ?", _path(C), _path(D))
    return nix


def _path(name: str) -> str:
    return f"/nix/store/{name}"


@pytest.mark.parametrize(
    ("roots", "paths"),
    [((), 4), ((A,), 3), ((B,), 2), ((D,), 2), ((B, D), 0), (("x" * 32 + "-unknown",), 4)],
)
def test_paths_without_a_root_are_counted(nix: Nix, roots: tuple[str, ...], paths: int) -> None:
    assert dead.ask([_path(name) for name in roots], _LATER) == Dead(paths, 1000 * paths)


def test_estimate_stops_at_its_deadline(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead, "_STEPS", 1)
    assert dead.ask([_path(B)], time.monotonic() - 1) is None


def test_missing_database_has_no_estimate(nix: Nix) -> None:
    nix.database.unlink()
    assert dead.ask([], _LATER) is None


def test_links_and_processes_are_roots(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    nix.root("one", B)
    monkeypatch.setattr(dead, "find_running", lambda _: {D})
    assert dead.estimate() == Dead(0, 0)
    monkeypatch.setattr(dead, "find_running", lambda _: set())
    assert dead.estimate() == Dead(2, 2000)


def test_estimate_needs_root(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert dead.estimate() is None


def test_store_paths_that_a_process_uses_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a shell of `nix develop`, for example, contains store paths."""
    path = "0123456789abcdfghijklmnpqrsvwxyz-tool-1.0"
    words = ["/bin/sh", "-c", "echo ready; read line"]
    environment = {"tool": f"/nix/store/{path}/bin"}
    with subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert path in dead.find_running(_LATER)
        assert dead.find_running(time.monotonic() - 1) == set()
        process.communicate(b"\n")
