"""Test reading the graphics drivers of a host from a directory."""

import os
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.gather import gpu
from nix_aurora_host.gather.gpu import gather_gpu
from nix_aurora_host.gpu import place, tmpfiles
from nix_aurora_host.gpu.facts import Gpu, Nvidia, Other

from tests.unit.host.nix_database import A, B, Nix, make_nix

_A, _B = f"/nix/store/{A}", f"/nix/store/{B}"


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    """Return a store with one valid path."""
    nix = make_nix(tmp_path / "nix", monkeypatch)
    monkeypatch.setattr(paths, "GPU_LINK", os.fspath(tmp_path / "opengl-driver"))
    monkeypatch.setattr(paths, "GPU_TMPFILES", os.fspath(tmp_path / "etc/gpu.conf"))
    monkeypatch.setattr(paths, "GPU_ROOTS", os.fspath(nix.state / "gcroots/nix-aurora-gpu"))
    monkeypatch.setattr(tmpfiles, "find_others", lambda: ())
    monkeypatch.setattr(gpu, "gather_nvidia", Nvidia)
    nix.add(A)
    nix.make_database([A])
    return nix


@pytest.mark.usefixtures("nix")
def test_host_without_drivers_has_default_facts() -> None:
    assert gather_gpu() == Gpu()


def test_enabled_drivers_are_read(nix: Nix) -> None:
    place.enable("nixpkgs#mesa", _A, lambda _: None)
    (nix.store / A / "lib").mkdir()
    (nix.store / A / "lib/libEGL_nvidia.so.570.86.16").touch()
    assert gather_gpu() == Gpu(
        installable="nixpkgs#mesa",
        target=_A,
        link=_A,
        valid=True,
        kept=(_A,),
        provides="570.86.16",
    )


def test_missing_drivers_are_detected(nix: Nix) -> None:
    place.enable("nixpkgs#mesa", _B, lambda _: None)
    found = gather_gpu()
    assert (found.there, found.valid) == (False, False)
    nix.database.unlink()
    assert gather_gpu().valid is None


@pytest.mark.usefixtures("nix")
def test_links_and_files_of_others_are_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    others = (Other("/etc/tmpfiles.d/x.conf", "a file of tmpfiles.d"),)
    monkeypatch.setattr(tmpfiles, "find_others", lambda: others)
    Path(paths.GPU_LINK).symlink_to(_B)
    found = gather_gpu()
    assert found == Gpu(link=_B, there=False, others=others)
    assert found.foreign
    Path(paths.GPU_LINK).unlink()
    Path(paths.GPU_LINK).mkdir()
    assert gather_gpu() == Gpu(occupied=True, others=others)


@pytest.mark.usefixtures("nix")
def test_store_path_of_another_layout_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    place.enable("nixpkgs#mesa", _A, lambda _: None)
    monkeypatch.setattr(paths, "PREFIX", "/run/nix/store")
    assert not gather_gpu().there


@pytest.mark.usefixtures("nix")
def test_damaged_file_is_detected() -> None:
    place.enable("path:/x#y", _A, lambda _: None)
    Path(paths.GPU_TMPFILES).write_text('# installable: "path:/x#y"\nnonsense\n')
    found = gather_gpu()
    assert (found.damaged, found.installable, found.target) == (True, "path:/x#y", None)
    assert not found.foreign
