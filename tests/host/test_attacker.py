"""What a user of the host tries against root and others, as the attacker runs it."""

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker

# A registered program of the user's own, which has a file name with a title, a color and a line
# that looks like purge's own, and runs.
_FORGER = r"""
set -e
mkdir -p /tmp/forger && cd /tmp/forger
name=$(printf 'x\033]0;title\007\033[2J\nthe store: removed')
cp /usr/bin/sleep "$name"
path=$(nix-store --add /tmp/forger)
"$path/$name" 600 </dev/null >/dev/null 2>&1 &
"""


def test_a_program_with_escapes_in_its_name_forges_no_line_of_purge(nix_host: Host) -> None:
    """S5: nothing of it acts on root's terminal, and each process has one line."""
    nix_host.run_as("tester", _FORGER)
    refused = nix_host.run("nix-aurora purge --yes", check=False)
    assert refused.returncode == 1
    assert "\x1b" not in refused.stderr
    assert "\x07" not in refused.stderr
    assert r"/x\x1b]0;title\x07\x1b[2J\nthe store: removed" in refused.stderr
    assert "the store: removed" not in refused.stderr.splitlines()
    hint = refused.stderr.splitlines()[-1]
    assert hint.startswith("hint: sudo kill ")
    nix_host.run(hint.removeprefix("hint: sudo "))


def test_what_is_mounted_while_purge_asks_is_kept(nix_tree: Tree, make_host: HostMaker) -> None:
    """S9: a bind mount of the same file system, made between the question and the answer."""
    host = make_host(nix_tree)
    host.boot()
    host.run("mkdir /var/precious /var/lib/nix/inside; echo kept >/var/precious/file")
    mount = "mount --bind /var/precious /var/lib/nix/inside"
    answer = f"(sleep 2; {mount}; echo yes; sleep 1)"
    asked = host.run(
        f"{answer} | script --quiet --return --command 'nix-aurora purge' /dev/null", check=False
    )
    assert asked.returncode == 1
    assert "/inside: something is mounted inside the store" in asked.output
    assert "nothing was changed" in asked.output
    assert host.read("/var/precious/file") == "kept\n"
    host.run("nix-store --verify --check-contents; systemctl is-active nix-daemon.socket")

    hint = next(line for line in asked.output.splitlines() if line.startswith("hint: sudo "))
    host.run(hint.removeprefix("hint: sudo "))
    host.run("nix-aurora purge --yes")
    assert host.read("/var/precious/file") == "kept\n"
    host.run("[ ! -e /var/lib/nix ]")
