"""Run the pages' commands for a host as they are written."""

import pytest

from tests.harness.nspawn import Host
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.drivers import nixpkgs, own_flake
from tests.host.terminal import at_terminal
from tests.readme import host_commands

# These are the texts that a command waits for, with a user's answer.
_TYPED = {
    "sudo nix-aurora adopt": (r"Type yes to adopt it: ", "yes\r"),
    "sudo nix-aurora gc run": (r"Type yes to collect garbage: ", "yes\r"),
    "sudo nix-aurora move /var/nix-new": (r"Type yes to move it: ", "yes\r"),
    "sudo nix-aurora move --undo": (r"Type yes to return to it: ", "yes\r"),
    "sudo nix-aurora mount enable --now": (r"Type yes to enable it: ", "yes\r"),
    "nix-aurora shell": (r"[$#] $", "exit\r"),
    "sudo nix-aurora purge": (r"Type yes to remove it: ", "yes\r"),
}
# These create the state in which a page recommends the command.
_BEFORE = {
    "sudo nix-aurora gpu enable": nixpkgs(version="1.0"),
    "sudo nix-aurora gpu enable path:/etc/drivers": own_flake(),
    "sudo nix-aurora adopt --dry-run": "mkdir /var/nix; cp -a /var/lib/nix/{store,var} /var/nix",
    "sudo nix-aurora move --dry-run /var/nix-new": "mkdir /var/disk /var/nix-new;"
    " echo '/var/disk /var/nix-new none bind 0 0' >>/etc/fstab; mount /var/nix-new",
    "sudo systemctl restart nix.mount": "umount --lazy /nix",
}
_LAST = "sudo nix-aurora purge"  # after this, no other command would work


@pytest.fixture
def host(make_nix_tree: NixTreeMaker, make_host: HostMaker) -> Host:
    """Return a host like Aurora's, without a /nix, after its first boot with the package."""
    host = make_host(make_nix_tree(nix_dir=False))
    host.boot()
    return host


def test_commands_for_a_host_work(host: Host) -> None:
    """A user runs each at a terminal, in the order of the pages."""
    commands = host_commands()
    assert {*_TYPED, *_BEFORE} <= set(commands)
    for command in sorted(commands, key=_LAST.__eq__):
        host.run(_BEFORE.get(command, ""))
        shown = at_terminal(host, command, *_TYPED.get(command, ()))
        assert shown.endswith(" exit 0\n"), f"{command}: {shown}"
