"""The pages' commands for a host, as they are written there."""

import pytest

from tests.harness.nspawn import Host
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.terminal import at_terminal
from tests.readme import host_commands

# What a command waits for, and what a user then types.
_TYPED = {
    "sudo nix-aurora adopt": (r"Type yes to adopt it: ", "yes\r"),
    "sudo nix-aurora mount enable --now": (r"Type yes to enable it: ", "yes\r"),
    "nix-aurora shell": (r"[$#] $", "exit\r"),
    "sudo nix-aurora purge": (r"Type yes to remove it: ", "yes\r"),
}
# The state that a page gives it for.
_BEFORE = {
    "sudo nix-aurora adopt --dry-run": "mkdir /var/nix; cp -a /var/lib/nix/{store,var} /var/nix",
    "sudo systemctl restart nix.mount": "umount --lazy /nix",
}
_LAST = "sudo nix-aurora purge"  # none of the others has anything to work on after it


@pytest.fixture
def host(make_nix_tree: NixTreeMaker, make_host: HostMaker) -> Host:
    """Give a host like Aurora's, without a /nix, after its first boot with the package."""
    host = make_host(make_nix_tree(nix_dir=False))
    host.boot()
    return host


def test_commands_for_a_host(host: Host) -> None:
    """Each by a user at a terminal, in the order in which a reader meets them."""
    commands = host_commands()
    assert {*_TYPED, *_BEFORE} <= set(commands)
    for command in sorted(commands, key=_LAST.__eq__):
        host.run(_BEFORE.get(command, ""))
        shown = at_terminal(host, command, *_TYPED.get(command, ()))
        assert shown.endswith(" exit 0\n"), f"{command}: {shown}"
