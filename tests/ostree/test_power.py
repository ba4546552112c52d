"""Test power cuts during an import: the next boot must complete."""

import pytest

from tests.harness.qemu import Machine
from tests.ostree.conftest import KINDS, MachineMaker
from tests.torture import chosen
from tests.whole import add_program, check_store, check_works, derivation

pytestmark = pytest.mark.long

_STAMP = "/var/lib/nix/.nix-aurora/imported"
# These files show that an import has reached the step.
_PHASES = {
    "cloning": "[ $(ls /var/lib/nix/.nix-aurora/unpack/store | wc -l) -gt 20 ]",
    "renaming": '[ -n "$(ls /var/lib/nix/store)" ]',
    "registering": "[ -e /var/lib/nix/.nix-aurora/unpack/state/db/db.sqlite ]",
    "registered": "[ -e /var/lib/nix/var/nix/db/db.sqlite ]",
}
_IMPORT_UNTIL = f"""
systemctl --no-block start nix-setup.service
until {{reached}} 2>/dev/null; do sleep 0.01; done
[ ! -e {_STAMP} ]
"""
_BUILD_UNTIL = """
systemd-run --quiet --uid=tester --property=WorkingDirectory=~ \\
    nix build --impure --expr {expression}
until [ -n "$(pgrep --uid nixbld1)" ]; do sleep 0.01; done
sync
"""


def _cut_power(machine: Machine) -> None:
    machine.kill()
    machine.boot()
    assert machine.failed_units() == [], machine.journal("nix-setup.service")
    check_store(machine)
    assert machine.read("/run/nix-aurora/layout") == "mount\n"


@pytest.mark.parametrize("kind", chosen(list(KINDS)))
def test_import_resumes_after_power_loss(kind: str, make_machine: MachineMaker) -> None:
    machine = make_machine("nix-forky", arguments=KINDS[kind])
    machine.boot()
    for reached in chosen(list(_PHASES.values())):
        machine.run("nix-aurora purge --yes")
        machine.run(_IMPORT_UNTIL.format(reached=reached))
        _cut_power(machine)
    add_program(machine)
    check_works(machine)

    machine.run(_BUILD_UNTIL.format(expression=derivation("while :; do :; done")))
    _cut_power(machine)
    check_works(machine)
