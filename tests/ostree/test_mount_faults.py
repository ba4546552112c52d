"""Test faults in nix-root.service on a real deployment: each boot must complete."""

from tests.nix_root import (
    KILL_WHILE_BINDING,
    REFUSE_BIND,
    REFUSE_PIVOT,
    break_nix_root,
    mend_nix_root,
)
from tests.ostree.conftest import DeploymentMaker
from tests.ostree.test_mount import is_as_before
from tests.whole import add_program, check_profile

_HANG = """
cat >/etc/systemd/system/hang.service <<'END'
[Unit]
Before=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
systemctl enable hang.service
"""


def test_boot_is_whole_with_any_fault(make_deployment: DeploymentMaker) -> None:
    host = make_deployment("nix-forky")
    host.boot()
    add_program(host)
    for fault in (REFUSE_BIND, REFUSE_PIVOT, KILL_WHILE_BINDING):
        break_nix_root(host, fault)
        host.reboot()
        assert host.failed_units() == ["nix-root.service"]
        host.run("systemctl reset-failed")
        is_as_before(host)

    mend_nix_root(host)

    # After two consecutive failed boots, no boot tries this kind again.
    host.run(_HANG)
    host.reboot(wait=False)
    hangs = "until [ $(systemctl is-active hang.service) = activating ]; do sleep 0.1; done"
    for _ in range(2):
        host.run(hangs)
        assert host.read("/run/nix-aurora/layout") == "mount\n"
        host.kill()
        host.boot(wait=False)
    host.run(hangs)
    host.run("systemctl disable hang.service; systemctl stop hang.service")
    host.wait_until_up()
    host.run("systemctl reset-failed hang.service")
    is_as_before(host)
    host.run("nix-aurora mount enable --yes --now")
    assert host.read("/run/nix-aurora/root") == "binds\n"  # the kind that failed is not tried again
    check_profile(host)
