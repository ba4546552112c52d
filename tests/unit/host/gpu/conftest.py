"""A store, and the files of gpu enable, in a directory of the test's."""

import os
from pathlib import Path

import pytest
from nix_aurora_host import paths

from tests.unit.host.nix_database import Nix, make_nix


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    """Return a store without a path; the link and the line are beside it, in run/ and etc/."""
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
