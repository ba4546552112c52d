"""Test which files of a closure go into /usr/share."""

from pathlib import Path

from nix_aurora.closure.stage import stage
from nix_aurora.closure.usr_share import copy_usr_share
from tests.closures import CLI, MANUAL, NIX, File, Link, Mutation, Node, Sample, make_tarball


def _shared(tmp_path: Path, mutate: Mutation) -> dict[str, bytes]:
    staged = stage(make_tarball(tmp_path / "t", mutate=mutate), tmp_path / "out", {})
    copy_usr_share(staged.closure, staged.root / "store", tmp_path / "share")
    files = (path for path in (tmp_path / "share").rglob("*") if path.is_file())
    return {str(path.relative_to(tmp_path / "share")): path.read_bytes() for path in files}


def test_links_are_replaced_by_their_targets(tmp_path: Path) -> None:
    """As in the release, the manual is a separate path, and ``share`` links to another path."""
    share: dict[str, Node] = {
        "zsh": {"site-functions": {"_nix": Link("../there")}, "there": File(b"zsh")},
        "bash-completion": Link("elsewhere"),
        "elsewhere": {"completions": {"nix": File(b"bash")}},
    }

    def mutate(sample: Sample) -> None:
        cli = sample.store[CLI]
        assert isinstance(cli, dict)
        cli["share"] = share

    assert _shared(tmp_path, mutate) == {
        "man/man1/nix.1.gz": b"a page",
        "zsh/site-functions/_nix": b"zsh",
        "bash-completion/completions/nix": b"bash",
    }


def test_other_names_and_dangling_links_are_left_out(tmp_path: Path) -> None:
    section: dict[str, Node] = {"nix.1": Link("/nix/store/none"), "ls.1": File(), "nix (1)": File()}
    man: dict[str, Node] = {"man1": section, "man5": File(b"no directory"), "nix.7": File()}

    def mutate(sample: Sample) -> None:
        sample.store[MANUAL] = {"share": {"man": man}}

    assert _shared(tmp_path, mutate) == {}


def test_closure_without_a_manual_copies_nothing(tmp_path: Path) -> None:
    def mutate(sample: Sample) -> None:
        sample.multi_user = None
        nix = sample.store[NIX]
        assert isinstance(nix, dict)
        del nix["share"]

    assert _shared(tmp_path, mutate) == {}
