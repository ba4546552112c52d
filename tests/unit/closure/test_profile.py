import hashlib
import stat
from pathlib import Path

import pytest

from nix_aurora.closure.stage import stage
from nix_aurora.errors import VerificationError
from nix_aurora.store.hashes import parse_sha256, to_nix
from nix_aurora.store.nar import nar_hash
from nix_aurora.store.paths import STORE, store_path
from nix_aurora.store.reginfo import PathInfo
from tests.closures import CACERT, CLI, NIX, File, Link, Node, Sample, make_tarball

# Nix 2.34.8 made this manifest when it installed these two paths.
_NIX = f"{STORE}/bx0q3lrqb7wzn4x3dgsj03a2w6qy9p2c-nix-2.34.8"
_CACERT = f"{STORE}/1q5rzfjjxlbwqzlzy78frvjqym9jb9rf-nss-cacert-20260816"
_MANIFEST = f"{STORE}/3ldla0j11yrv8xb20498f11z8mi01ajd-env-manifest.nix"
_TEXT = (
    f'[ {{ meta = {{ }}; name = "nix-2.34.8"; out = {{ outPath = "{_NIX}"; }}; '
    f'outPath = "{_NIX}"; outputs = [ "out" ]; type = "derivation"; }} '
    f'{{ meta = {{ }}; name = "nss-cacert-20260816"; out = {{ outPath = "{_CACERT}"; }}; '
    f'outPath = "{_CACERT}"; outputs = [ "out" ]; type = "derivation"; }} ]'
)


def add(tmp_path: Path, nix: Node, cacert: Node) -> tuple[Path, PathInfo, PathInfo]:
    """Stage these two trees; return the profile, its registration, and that of its manifest."""

    def mutate(sample: Sample) -> None:
        sample.store[NIX], sample.store[CACERT] = nix, cacert

    staged = stage(make_tarball(tmp_path / "t", mutate=mutate), tmp_path / "out", {})
    infos = {info.path: info for info in staged.closure.paths}
    (manifest,) = (info for info in infos.values() if info.name.endswith("-env-manifest.nix"))
    profile = infos[staged.profile]
    return staged.root / "store" / profile.name, profile, manifest


def tree(directory: Path) -> dict[str, str]:
    """Return the links below ``directory`` with their targets."""
    paths = [path for path in directory.rglob("*") if path.is_symlink()]
    return {str(path.relative_to(directory)): str(path.readlink()) for path in paths}


def certificates(**more: Node) -> dict[str, Node]:
    return {"etc": {"ssl": {"certs": {"ca-bundle.crt": File(b"a certificate\n")}}, **more}}


def commands(**more: Node) -> dict[str, Node]:
    return {"bin": {"nix": Link(f"{STORE}/{CLI}/bin/nix")}, **more}


def test_names_are_the_same_as_nixs() -> None:
    references = [_NIX, _CACERT]
    text = hashlib.sha256(_TEXT.encode()).digest()
    assert store_path("text", text, references, "env-manifest.nix") == _MANIFEST
    # `nix store make-content-addressed` makes such names, with the word "source" in the digest.
    sha256 = parse_sha256("sha256-J+fzOLrNHwcQ+2TUc3aOumOQtEtXCxH+PYH00dG+CFw=")
    references = [f"{STORE}/4i53qzl9x4lqf5zx3jj84zg35q990ifs-a"]
    expected = f"{STORE}/v3da085sgpwfcax4clzdhiha4jf69qiq-user-environment"
    assert store_path("source", sha256, references, "user-environment") == expected


def test_directories_of_both_paths_are_merged_and_others_are_linked(tmp_path: Path) -> None:
    """A directory of both becomes a directory with links; any other directory becomes a link."""
    nix = commands(
        etc={"profile.d": {"nix.sh": File()}, "ssl": {"README": File()}},
        share=Link(f"../{CLI}/share"),
        log=File(),
    )
    nix |= {"nix-support": {"propagated-build-inputs": File()}, ".hidden": File()}
    made, _, manifest = add(tmp_path, nix, certificates())
    assert tree(made) == {
        "bin": f"{STORE}/{NIX}/bin",
        "etc/profile.d": f"{STORE}/{NIX}/etc/profile.d",
        "etc/ssl/README": f"{STORE}/{NIX}/etc/ssl/README",
        "etc/ssl/certs": f"{STORE}/{CACERT}/etc/ssl/certs",
        "manifest.nix": manifest.path,
        "share": f"{STORE}/{NIX}/share",
    }


def test_directory_behind_a_link_is_merged(tmp_path: Path) -> None:
    cacert = certificates() | {"share": {"doc": {}}}
    made, _, _ = add(tmp_path, commands(share=Link(f"../{CLI}/share")), cacert)
    found = tree(made)
    assert found["share/empty"] == f"{STORE}/{NIX}/share/empty"
    assert found["share/doc"] == f"{STORE}/{CACERT}/share/doc"


def test_manifest_is_the_same_as_nixs(tmp_path: Path) -> None:
    made, _, manifest = add(tmp_path, commands(), certificates())
    file = made.parent / manifest.name
    nix, cacert = f"{STORE}/{NIX}", f"{STORE}/{CACERT}"
    expected = _TEXT.replace(_NIX, nix).replace(_CACERT, cacert)
    expected = expected.replace('"nix-2.34.8"', '"determinate-nix-3.22.1"')
    assert file.read_text() == expected.replace('"nss-cacert-20260816"', '"nss-cacert-3.115"')
    assert manifest.references == (nix, cacert)


def test_profile_and_manifest_match_their_registrations(tmp_path: Path) -> None:
    made, profile, manifest = add(tmp_path, commands(), certificates())
    assert profile.references == tuple(
        sorted((f"{STORE}/{NIX}", f"{STORE}/{CACERT}", manifest.path))
    )
    for info in (profile, manifest):
        sha256, size = nar_hash(made.parent / info.name)
        assert (to_nix(info.nar_hash), info.nar_size) == (to_nix(sha256), size)
        assert info.deriver == ""
    for path in (made, *made.rglob("*"), made.parent / manifest.name):
        status = path.lstat()
        assert status.st_mtime == 1
        expected = {stat.S_IFDIR: 0o555, stat.S_IFREG: 0o444, stat.S_IFLNK: 0o777}
        assert stat.S_IMODE(status.st_mode) == expected[stat.S_IFMT(status.st_mode)]


@pytest.mark.parametrize(
    ("nix", "cacert", "message"),
    [
        (
            commands(etc={"x": File()}),
            certificates(x={}),
            f"{STORE}/{NIX}/etc/x: expected a directory, as others have it too, got something else",
        ),
        (
            commands(etc={"x": {}}),
            certificates(x=File()),
            f"{STORE}/{CACERT}/etc/x: expected a directory, as others have it too, got",
        ),
        (
            commands() | {"nix-support": {"propagated-user-env-packages": File(b"x")}},
            certificates(),
            f"{STORE}/{NIX}/nix-support/propagated-user-env-packages: expected no such file, got",
        ),
    ],
    ids=["file-and-directory", "directory-and-file", "propagated"],
)
def test_impossible_profiles_are_refused(
    tmp_path: Path, nix: Node, cacert: Node, message: str
) -> None:
    with pytest.raises(VerificationError, match=f"cannot make the default profile: {message}"):
        add(tmp_path, nix, cacert)
    assert list((tmp_path / "out/stage").iterdir()) == []


def test_broken_link_in_a_merged_directory_is_refused(tmp_path: Path) -> None:
    nix = commands(share=Link(f"../{CLI}/away"))
    with pytest.raises(VerificationError, match="expected a file, got nothing"):
        add(tmp_path, nix, certificates() | {"share": {}})
