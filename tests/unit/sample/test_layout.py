"""Test the contents of store paths that are laid out from package trees."""

from pathlib import Path

import pytest

from nix_aurora.errors import VerificationError
from sample import layout


def _file(path: Path, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name)
    path.chmod(mode)


def test_library_omits_files_of_the_host_and_other_packages(tmp_path: Path) -> None:
    package, result = tmp_path / "package", tmp_path / "result"
    libraries = package / "usr/lib/x86_64-linux-gnu"
    _file(libraries / "libz.so.1.3", 0o4755)
    (libraries / "libz.so.1").symlink_to("libz.so.1.3")
    (libraries / "libz.so").symlink_to("/usr/lib/libz.so")
    (libraries / "libother.so").symlink_to("libother.so.2")
    _file(package / "usr/share/doc/zlib1g/copyright")
    _file(package / "usr/share/doc/zlib1g/changelog.gz")
    _file(package / "usr/share/locale/de/zlib.mo")
    layout.library(package, result, "x86_64-linux-gnu")
    found = sorted(str(p.relative_to(result)) for p in result.rglob("*") if not p.is_dir())
    assert found == ["lib/libz.so.1", "lib/libz.so.1.3", "share/doc/zlib1g/copyright"]
    assert (result / "lib/libz.so.1.3").stat().st_mode & 0o7777 == 0o755


def test_link_farm_has_only_directories_and_absolute_links(tmp_path: Path) -> None:
    source, result = tmp_path / "source", tmp_path / "result"
    _file(source / "bin/nix", 0o755)
    (source / "bin/nix-build").symlink_to("nix")
    (source / "share").mkdir()
    (source / "share/man").symlink_to("/nix/store/x-man/share/man")
    layout.link_farm(source, result, "/nix/store/h-nix-cli")
    links = {
        str(p.relative_to(result)): str(p.readlink()) for p in result.rglob("*") if p.is_symlink()
    }
    assert links == {
        "bin/nix": "/nix/store/h-nix-cli/bin/nix",
        "bin/nix-build": "/nix/store/h-nix-cli/bin/nix-build",
        "share/man": "/nix/store/h-nix-cli/share/man",
    }
    assert not [p for p in result.rglob("*") if p.is_file() and not p.is_symlink()]


def test_too_few_certificates_are_refused(tmp_path: Path) -> None:
    _file(tmp_path / "usr/share/ca-certificates/mozilla/One.crt")
    with pytest.raises(VerificationError, match="bundling certificates"):
        layout.certificates(tmp_path, tmp_path / "result")


def test_missing_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("/nix/store/x")
    layout.require(tmp_path, ["dangling"])
    with pytest.raises(VerificationError, match="expected bin/nix, got none"):
        layout.require(tmp_path, ["dangling", "bin/nix"])
