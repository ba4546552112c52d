"""Hosts that had another Nix: doctor's fixes, as printed, make each of them well.

What the installers leave is in tests/leftovers.py, with the sources that say so.
"""

import json
import shlex

import pytest

from tests.harness.nspawn import Host
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.doctor import build, doctor
from tests.leftovers import (
    CLASSIC,
    DETERMINATE,
    MOUNT_UNIT,
    PROXY,
    UPSTREAM,
    Files,
    Link,
    script,
)

_ROUNDS = 3
_FORMER = "/etc/nix-aurora.former"
_OTHER = "/nix/var/nix/profiles/default"
_STORE = "mkdir -p {0}/store/kept {0}/var/nix/db; : >{0}/var/nix/db/db.sqlite; echo 1 >{0}/store/x"
_KEPT = "[ $(cat {0}/store/x) = 1 ] && [ -e {0}/var/nix/db/db.sqlite ]"
_UNIT_FILES = "/etc/systemd/system"
_BIND = {"/etc/fstab": "/var/home/nix /nix none bind 0 0\n"}
_LINKS: Files = {
    f"{_UNIT_FILES}/nix-daemon.{kind}": Link(f"{_OTHER}/lib/systemd/system/nix-daemon.{kind}")
    for kind in ("socket", "service")
}
_LEFT: dict[str, Files] = {
    "determinate": DETERMINATE,
    "upstream": UPSTREAM,
    "classic with a line in fstab": {**CLASSIC, **_BIND},
    "links into a store that is gone": _LINKS,
    "a mount unit alone": {f"{_UNIT_FILES}/nix.mount": MOUNT_UNIT},
    "a line in fstab": _BIND,
}
_LAYOUTS = {
    "mount": {"nix_dir": True},
    "moved": {"nix_dir": False},
    "namespace": {"nix_dir": False, "layout": "namespace"},
}


def _cure(host: Host, pick: int = 0) -> list[set[str]]:
    """Run a fix as it is printed until doctor is content; return what it found in each round."""
    rounds = []
    for _ in range(_ROUNDS + 1):
        found = doctor(host, "root")
        rounds.append({finding["id"] for finding in found})
        if not found:
            return rounds
        typed = f"echo yes | script --quiet --return --command {shlex.quote(found[pick]['fix'])}"
        said = host.run_as("tester", f"{typed} /dev/null", login=False, check=False)
        print(found[pick], said.output)
    raise AssertionError(rounds)


def _is_well(host: Host) -> None:
    """Nix works, and still does after a reboot that nothing spoils."""
    build(host)
    host.reboot()
    assert host.failed_units() == []
    assert host.run("systemctl is-system-running").stdout == "running\n"
    assert doctor(host, "root") == []
    assert doctor(host) == []
    build(host)


def _status(host: Host) -> dict[str, object]:
    status: dict[str, object] = json.loads(host.run("nix-aurora status --json").stdout)
    return status


@pytest.mark.parametrize("layout", _LAYOUTS)
@pytest.mark.parametrize("left", _LEFT)
def test_what_an_installer_has_left_is_cured_by_the_fixes(
    left: str, layout: str, make_nix_tree: NixTreeMaker, make_host: HostMaker
) -> None:
    """Found after a boot with it; the first fix each time, or the last."""
    files = _LEFT[left]
    host = make_host(make_nix_tree(**_LAYOUTS[layout]))  # type: ignore[arg-type]
    host.boot()
    host.run(_STORE.format("/var/home/nix") + "\n" + script(files))
    host.reboot()
    pick = -(sorted(_LEFT).index(left) % 2)
    _cure(host, pick)
    host.run(_KEPT.format("/var/home/nix"))
    assert _status(host)["layout"] == ("namespace" if layout == "namespace" else "mount")
    _is_well(host)
    assert _status(host)["former"] == {
        "traces": [],
        "stores": ["/var/home/nix"],
    }
    if PROXY in files:  # it holds for any Nix
        assert host.read(PROXY) == files[PROXY]
    for path in (path for path in files if path.startswith(f"{_UNIT_FILES}/") and path != PROXY):
        host.run(f"[ -L {_FORMER}{path} ] || [ -e {_FORMER}{path} ]")
        assert path in host.read(f"{_FORMER}/README")
