"""Test the binary tarball."""

import os
import tarfile
from pathlib import Path

from nix_aurora.files import sha256_file
from sample import tarball

_NAME = "nix-2.0-x86_64-linux"
_ROOTS = {"nix": "/nix/store/a-nix", "manual": "/nix/store/b-man", "cacert": "/nix/store/c-ca"}


def _tree(folder: Path, *, names: tuple[str, ...], mode: int, time: int) -> Path:
    """Make the same closure with any order, modes and times; plain files get ``mode``."""
    top = folder / _NAME
    path = top / "store/x-nix"
    for name in names:
        (path / name).mkdir(parents=True)
        (path / name / "file").write_text(name)
        (path / name / "file").chmod(mode)
        (path / name / "program").write_text("#!")
        (path / name / "program").chmod(mode | 0o100)
    (path / "link").symlink_to("/nix/store/y")
    os.link(path / "bin/file", path / "hard")
    (top / "store/w-link").symlink_to("/nix/store/x-nix/bin/program")
    (top / "store/v-file").write_text("v")
    (top / ".reginfo").write_text("registration\n")
    tarball.write_installers(top, **_ROOTS)
    for found in top.rglob("*"):
        os.utime(found, (time, time), follow_symlinks=False)
    return top


def test_same_tree_has_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = _tree(tmp_path / "one", names=("bin", "lib"), mode=0o644, time=10**9)
    two = _tree(tmp_path / "two", names=("lib", "bin"), mode=0o400, time=10**8)
    tarball.pack(one, tmp_path / "one.tar.xz", level=6)
    tarball.pack(two, tmp_path / "two.tar.xz", level=6)
    assert sha256_file(tmp_path / "one.tar.xz") == sha256_file(tmp_path / "two.tar.xz")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_entries_are_the_same_as_upstreams(tmp_path: Path) -> None:
    top = _tree(tmp_path, names=("bin", "lib"), mode=0o600, time=10**9)
    tarball.pack(top, tmp_path / "result.tar.xz", level=6)
    with tarfile.open(tmp_path / "result.tar.xz") as archive:
        entries = {entry.name.removeprefix(f"{_NAME}/"): entry for entry in archive}
    assert list(entries)[:6] == [
        *("install", "install-multi-user", ".reginfo"),
        *("store/v-file", "store/w-link", "store/x-nix"),
    ]
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, 1)}
    assert not [entry for entry in entries.values() if entry.islnk()]
    assert oct(entries["store/x-nix/bin/file"].mode) == "0o644"
    assert oct(entries["store/x-nix/bin/program"].mode) == "0o755"
    assert oct(entries["store/x-nix/bin"].mode) == "0o755"
    assert entries["store/w-link"].linkname == "/nix/store/x-nix/bin/program"


def test_installers_name_the_roots(tmp_path: Path) -> None:
    tarball.write_installers(tmp_path, **_ROOTS)
    single = (tmp_path / "install").read_text().splitlines()
    assert 'nix="/nix/store/a-nix"' in single
    assert 'cacert="/nix/store/c-ca"' in single
    multi = (tmp_path / "install-multi-user").read_text().splitlines()
    assert 'readonly NIX_INSTALLED_NIX="/nix/store/a-nix"' in multi
    assert 'readonly NIX_INSTALLED_NIX_MAN="/nix/store/b-man"' in multi
    assert 'readonly NIX_INSTALLED_CACERT="/nix/store/c-ca"' in multi
