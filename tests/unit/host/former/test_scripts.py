"""Test that the blocks of installers in start-up files are found and removed exactly."""

from pathlib import Path

import pytest
from nix_aurora_host.former.facts import Cure, Kind
from nix_aurora_host.former.files import find_files, judge_settings
from nix_aurora_host.former.scripts import find_blocks, find_scripts, without
from nix_aurora_host.former.tree import Tree

from tests.leftovers import BLOCK, CLASSIC, DETERMINATE, UPSTREAM, Files, Link, write

_DETERMINATES = f"{BLOCK}        \n"


@pytest.mark.parametrize("block", [BLOCK, _DETERMINATES])
@pytest.mark.parametrize(
    "own", ["# mine\n", "\n# mine\n", "if x; then\n    y\nfi", "", "\n\n", "# Nix\nown\n"]
)
def test_only_the_block_is_removed(block: str, own: str) -> None:
    text = block + own
    assert without(text, find_blocks(text)) == own


def test_repeated_block_is_removed_twice() -> None:
    text = f"{BLOCK}{_DETERMINATES}# mine\n"
    assert without(text, find_blocks(text)) == "# mine\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# Nix\n",
        "# End Nix\n# Nix\n",
        "# Nix\nexport EDITOR=vi\n# End Nix\n",
        "# Nix\n. /opt/nix.sh\n# End Nix\n",
        "# Nix\n"
        + "x\n" * 20
        + ". /nix/var/nix/profiles/default/etc/profile.d/nix.sh\n# End Nix\n",
    ],
)
def test_similar_text_is_kept(text: str) -> None:
    assert find_blocks(text) == ()


def test_script_is_moved_if_nothing_in_it_is_the_hosts(tmp_path: Path) -> None:
    write(tmp_path, {**CLASSIC, "/etc/profile.d/mine.sh": "x\n"})
    found = {trace.path: (trace.kind, trace.cure) for trace in find_scripts(Tree(str(tmp_path)))}
    assert found == {
        "/etc/bashrc": (Kind.SCRIPT, Cure.CUT),
        "/etc/bashrc.backup-before-nix": (Kind.COPY, Cure.MOVE),
        "/etc/fish/conf.d/nix.fish": (Kind.SCRIPT, Cure.MOVE),
        "/etc/profile.d/nix.sh": (Kind.SCRIPT, Cure.MOVE),
    }


def test_copies_of_nixs_script_and_links_to_it_are_found(tmp_path: Path) -> None:
    script = "/nix/var/nix/profiles/default/etc/profile.d/nix-daemon.sh"
    files: Files = {
        "/etc/profile.d/nix-daemon.sh": "__ETC_PROFILE_NIX_SOURCED=1\n",
        "/etc/profile.d/a.sh": Link(script),
        "/etc/profile.d/b.sh": Link("/nix/store/x/share/b.sh"),
    }
    write(tmp_path, files)
    found = {trace.path for trace in find_scripts(Tree(str(tmp_path)))}
    assert found == {"/etc/profile.d/nix-daemon.sh", "/etc/profile.d/a.sh"}


def test_packaged_script_is_no_trace(tmp_path: Path) -> None:
    packaged = Path("payload/etc/profile.d/nix.sh").read_text()
    write(tmp_path, {"/etc/profile.d/nix.sh": packaged})
    assert list(find_scripts(Tree(str(tmp_path)))) == []
    write(tmp_path, {"/etc/profile.d/nix.sh": BLOCK + packaged})
    (trace,) = find_scripts(Tree(str(tmp_path)))
    assert trace.cure is Cure.CUT


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        (DETERMINATE["/etc/nix/nix.conf"], "has the settings"),
        (UPSTREAM["/etc/nix/nix.conf"], "has the settings"),
        (CLASSIC["/etc/nix/nix.conf"], "does not include"),
        ("# !include nix.custom.conf\n", "does not include"),
        ("max-jobs = 1\n!include nix.custom.conf\n", None),
        ("include /etc/nix/nix.custom.conf\n", None),
    ],
)
def test_settings_are_another_nixs_unless_they_include_the_administrators(
    text: str, effect: str | None
) -> None:
    trace = judge_settings(text)
    assert (trace is None) == (effect is None)
    assert trace is None or trace.effect.startswith(effect or "")


def test_settings_of_the_packaged_nixd_are_no_trace(tmp_path: Path) -> None:
    settings = {"/etc/nix/nix.conf": DETERMINATE["/etc/nix/nix.conf"]}
    write(tmp_path, settings)
    assert [trace.kind for trace in find_files(Tree(str(tmp_path)), ours=True)] == [Kind.SETTINGS]
    write(tmp_path, {"/usr/libexec/nix-aurora-nixd/determinate-nixd": ""})
    assert list(find_files(Tree(str(tmp_path)), ours=True)) == []


def test_other_files_are_found_by_place_and_content(tmp_path: Path) -> None:
    write(tmp_path, {**DETERMINATE, "/etc/tmpfiles.d/mine.conf": "d /var/x\n"})
    write(tmp_path, {"/etc/tmpfiles.d/n.conf": "d /nix/var/nix/daemon-socket 0755 root root - -\n"})
    found = {trace.path: trace.kind for trace in find_files(Tree(str(tmp_path)), ours=False)}
    assert found == {
        "/etc/nix/nix.conf": Kind.SETTINGS,
        "/etc/tmpfiles.d/n.conf": Kind.TMPFILES,
        "/etc/tmpfiles.d/nix-daemon.conf": Kind.TMPFILES,
        "/etc/nix-installer/selinux/packages/nix.pp": Kind.POLICY,
        "/usr/local/bin/determinate-nixd": Kind.PROGRAM,
    }


def test_receipt_is_a_trace_only_if_it_would_delete_our_store(tmp_path: Path) -> None:
    write(tmp_path, {"/nix/receipt.json": "{}"})
    tree = Tree(str(tmp_path))
    assert [trace.kind for trace in find_files(tree, ours=True)] == [Kind.RECEIPT]
    assert list(find_files(tree, ours=False)) == []
