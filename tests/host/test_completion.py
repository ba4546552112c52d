"""Test that completion and man find our files and Nix's."""

import re
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.harness.roots import MORE
from tests.harness.tree import atomic_tree, layer_rpms
from tests.host.terminal import at_terminal
from tests.packages import PackageMaker, fit_for_sample

# On Fedora, zsh looks for completions there. Users enable zsh's completion themselves.
_ZSHRC = """
cat >/var/home/tester/.zshrc <<'E'
fpath=(/usr/share/zsh/site-functions $fpath)
autoload -Uz compinit
compinit -D -u
E
"""

each_shell = pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])


@pytest.fixture(scope="module")
def host(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host that has man and, for bash, bash-completion, like Aurora."""
    place = tmp_path_factory.mktemp("completion")
    tree = layer_rpms(atomic_tree(nix_dir=True, extra=(MORE,)), [package()], place / "rpms")
    with Host(fit_for_sample(tree, place / "settings"), place / "host") as host:
        host.run(_ZSHRC)
        yield host


@each_shell
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("nix-aurora mount sta\\t\\r", "every boot +enabled"),
        ("nix-aurora shell print\\tenv NIX_PROFILES\\r", "/nix/var/nix/profiles/default"),
        ("nix store inf\\t\\r", "Store URL: daemon"),
    ],
)
def test_line_is_completed(host: Host, shell: str, keys: str, expected: str) -> None:
    """Check the completed line, which ends in an existing command; the typed line does not."""
    shown = at_terminal(host, f"exec {shell} -l -i", r"[$>%] ?", keys, expected, "exit\\r")
    assert shown.endswith("exit 0\n")


@pytest.mark.parametrize("page", ["nix-aurora", "nix-aurora.conf", "nix", "nix-build", "nix.conf"])
def test_man_finds_the_page(host: Host, page: str) -> None:
    shown = host.run_as("tester", f"MANPAGER=cat man {page}").stdout
    assert re.search("^name$", shown, re.IGNORECASE | re.MULTILINE)
    assert page.partition(".")[0] in shown
