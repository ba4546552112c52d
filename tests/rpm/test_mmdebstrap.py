"""Test the tests' roots with Debian's own mmdebstrap, for distributions without one."""

import os
from pathlib import Path

import pytest

from nix_aurora.run import run
from sample.mirror import debian_mirror, require_keyring
from tests.harness import cache
from tests.harness.mmdebstrap import mmdebstrap
from tests.harness.roots import SUITE


@pytest.fixture
def without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a PATH with all programs of this machine except mmdebstrap, and an empty cache."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for directory in reversed(os.environ["PATH"].split(":")):
        for program in Path(directory).glob("*"):
            (programs / program.name).unlink(missing_ok=True)
            (programs / program.name).symlink_to(program)
    (programs / "mmdebstrap").unlink(missing_ok=True)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(cache, "default_cache", lambda: tmp_path / "cache")


@pytest.mark.usefixtures("without")
def test_mmdebstrap_is_downloaded_from_debian_and_makes_a_root(tmp_path: Path) -> None:
    program = mmdebstrap(SUITE)
    assert program.is_relative_to(tmp_path / "cache")
    assert mmdebstrap(SUITE) == program
    assert run([program, "--version"]).startswith("mmdebstrap ")
    # A root of one package is enough: mmdebstrap downloads and checks its index and its file.
    root = tmp_path / "root"
    words = ("--quiet", "--mode=root", "--variant=extract", "--include=base-files", SUITE, root)
    aged = '--aptopt=Acquire::Check-Valid-Until "false"'  # a mirror may be frozen at a past day
    source = (debian_mirror(SUITE), f"--keyring={require_keyring()}")
    run([*("unshare", "--mount", "--propagation=private", "--"), program, aged, *words, *source])
    assert "ID=debian" in (root / "usr/lib/os-release").read_text()
