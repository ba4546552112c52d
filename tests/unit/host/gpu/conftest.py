"""Provide a store, and the paths of the files of gpu enable, in a test's directory."""

import os
from pathlib import Path

import pytest
from nix_aurora_host import paths

from tests.unit.host.nix_database import Nix, make_nix


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    """Return an empty store; gpu enable writes its link and line beside it, in run/ and etc/."""
    nix = make_nix(tmp_path / "nix", monkeypatch)
    changed = {
        "GPU_LINK": tmp_path / "run/opengl-driver",
        "GPU_TMPFILES": tmp_path / "etc/tmpfiles.d/nix-aurora-gpu.conf",
        "GPU_ROOTS": nix.state / "gcroots/nix-aurora-gpu",
        "RUN": tmp_path / "run/nix-aurora",
    }
    for attribute, value in changed.items():
        monkeypatch.setattr(paths, attribute, os.fspath(value))
    (tmp_path / "run").mkdir()
    return nix
