"""nix-root.service with a fault in it, on a real deployment: the boot is whole all the same."""

from tests.nix_root import NO_OVERLAY, break_nix_root, mend_nix_root
from tests.ostree.conftest import DeploymentMaker
from tests.ostree.test_mount import ENABLE, is_as_before
from tests.whole import add_program, check_profile, check_works

_FAULTS = {
    "bind refused": 'mount() { [[ $* != *"--rbind /usr"* ]] || return 32; command mount "$@"; }',
    "pivot refused": "pivot_root() { return 1; }",
    "killed half-way": 'mount() { [[ $* != *"bind /usr"* ]] || kill -9 $$; command mount "$@"; }',
}
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


def test_whatever_goes_wrong_the_boot_is_whole(make_deployment: DeploymentMaker) -> None:
    host = make_deployment("nix-forky")
    host.boot()
    add_program(host)
    host.run(ENABLE)
    for functions in _FAULTS.values():
        break_nix_root(host, functions)
        host.reboot()
        assert host.failed_units() == ["nix-root.service"]
        host.run("systemctl reset-failed")
        is_as_before(host)

    # Without an overlay it goes another way.
    break_nix_root(host, NO_OVERLAY)
    host.reboot()
    assert host.read("/run/nix-aurora/root") == "binds\n"
    check_works(host)
    mend_nix_root(host)

    # A boot that does not come up with it is the last one that tries.
    host.run(_HANG)
    host.reboot(wait=False)
    host.run("until [ $(systemctl is-active hang.service) = activating ]; do sleep 0.1; done")
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    host.kill()
    host.boot(wait=False)
    host.run("until [ $(systemctl is-active hang.service) = activating ]; do sleep 0.1; done")
    host.run("systemctl disable hang.service; systemctl stop hang.service")
    host.wait_until_up()
    host.run("systemctl reset-failed hang.service")
    is_as_before(host)
    host.run(f"{ENABLE} --now")
    check_profile(host)
